package lddynamodb

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A modelFault is what happens to some requests of a process.
type modelFault struct {
	kind   string
	target faultTarget
	answer func(r *sentRequest, carry carrier) (*http.Response, error)
}

// A carrier has the table answer a request, a batch with some of its requests only.
type carrier func(requests int) (*http.Response, error)

var faultKinds = []struct {
	name   string
	answer func(r *sentRequest, carry carrier) (*http.Response, error)
}{
	{"refused", func(r *sentRequest, _ carrier) (*http.Response, error) { return noConnection(r) }},
	{"throttled", func(r *sentRequest, _ carrier) (*http.Response, error) { return throttled(r) }},
	{"denied", func(r *sentRequest, _ carrier) (*http.Response, error) { return refusals["access denied"].answer(r) }},
	{"lost responses", loseResponse},
	{"half a batch", halfABatch},
	{"black hole", func(r *sentRequest, _ carrier) (*http.Response, error) { return blackHole(r) }},
	{"failing", func(r *sentRequest, _ carrier) (*http.Response, error) { return internalError(r) }},
	{"400 ms late", late(400 * time.Millisecond)},
	{"3 s late", late(3 * time.Second)},
}

// loseResponse is a network that breaks down when the table has done its work.
func loseResponse(_ *sentRequest, carry carrier) (*http.Response, error) {
	if response, err := carry(everyRequest); err == nil {
		_ = response.Body.Close()
	}
	return nil, io.ErrUnexpectedEOF
}

func halfABatch(r *sentRequest, carry carrier) (*http.Response, error) {
	if r.action != "BatchWriteItem" {
		return carry(everyRequest)
	}
	return carry(len(r.writeRequests()) / 2)
}

// late makes the answers late. What they say was true when the table was asked.
func late(delay time.Duration) func(r *sentRequest, carry carrier) (*http.Response, error) {
	return func(r *sentRequest, carry carrier) (*http.Response, error) {
		response, err := carry(everyRequest)
		select {
		case <-time.After(delay):
			return response, err
		case <-r.http.Context().Done():
			return nil, r.http.Context().Err()
		}
	}
}

// A faultTarget is the requests that a fault is about. An empty text stands for all.
type faultTarget struct{ action, namespace string }

var faultTargets = []faultTarget{
	{}, {}, {}, {"GetItem", ""}, {"Query", ""}, {"PutItem", ""}, {"BatchWriteItem", ""}, {"", ":features"}, {"", ":segments"}, {"", ":$inited"},
	{"PutItem", ":features"}, {"PutItem", ":segments"}, {"Query", ":features"},
}

func (t faultTarget) String() string {
	return strings.TrimSpace(strings.TrimPrefix(t.namespace, ":") + " " + strings.TrimSpace("requests "+t.action))
}

func (t faultTarget) isOf(r *sentRequest) bool {
	return (t.action == "" || t.action == r.action) && strings.Contains(string(r.body), t.namespace+`"`)
}

func (p *process) beginFault(kind, target int) {
	f := modelFault{faultKinds[kind].name, faultTargets[target], faultKinds[kind].answer}
	p.w.say("%s: %s are %s from now on", p.name, f.target, f.kind)
	p.w.misledOfInited = p.w.misledOfInited || slices.Contains([]string{"denied", "400 ms late", "3 s late"}, f.kind) &&
		slices.Contains([]string{"", ":$inited"}, f.target.namespace)
	p.transport.mu.Lock()
	defer p.transport.mu.Unlock()
	p.faults = append(p.faults, f)
}

// heal ends the process's faults.
func (p *process) heal() {
	p.transport.mu.Lock()
	defer p.transport.mu.Unlock()
	if len(p.faults) == 0 {
		return
	}
	p.w.say("%s: its faults end", p.name)
	p.faults, p.faultEnd = nil, time.Now()
}

// faultOf returns the latest fault of a request.
func (p *process) faultOf(r *sentRequest) (modelFault, bool) {
	p.transport.mu.Lock()
	defer p.transport.mu.Unlock()
	for i := len(p.faults) - 1; i >= 0; i-- {
		if p.faults[i].target.isOf(r) {
			return p.faults[i], true
		}
	}
	return modelFault{}, false
}

// noticeTime is ample for a store to notice that a fault has ended.
const noticeTime = 15 * time.Second

// isTroubled reports whether requests of the process may fail.
func (p *process) isTroubled() bool {
	return len(p.faults) > 0 || len(p.reads) > 0 || !p.faultEnd.IsZero() && time.Since(p.faultEnd) < noticeTime
}
