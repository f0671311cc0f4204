package demo

import (
	"time"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
)

// A Load sums up the evaluations that a process made for a while, as fast as it
// could.
type Load struct {
	Evaluations int           `json:"evaluations"`
	Defaults    int           `json:"defaults"` // those that got the default value
	Slowest     time.Duration `json:"slowest"`
	Took        time.Duration `json:"took"`
}

// PerSecond returns the number of evaluations per second.
func (l Load) PerSecond() float64 { return float64(l.Evaluations) / l.Took.Seconds() }

// evaluateFor evaluates one flag after the other.
func (p *participant) evaluateFor(while time.Duration) (l Load) {
	flags, users := len(p.withValues), len(p.users)
	start := time.Now()
	for l.Took < while {
		began := l.Took
		flag, user := p.withValues[l.Evaluations%flags], p.users[l.Evaluations/flags%users]
		isDefault := evaluation.One(p.client, flag, user).Variation == nil
		l.Took = time.Since(start)
		l.Slowest = max(l.Slowest, l.Took-began)
		l.Evaluations++
		if isDefault {
			l.Defaults++
		}
	}
	return l
}

// A participant is an SDK client in one of the two processes, and what it
// evaluates.
type participant struct {
	client *ld.LDClient
	flags  []string
	users  []ld.User
	// withValues are the flags that have a value at the start. The others get the
	// default value because they are off or deleted.
	withValues []string
}

func newParticipant(client *ld.LDClient) (*participant, error) {
	flags, users, err := flagsAndUsers()
	if err != nil {
		return nil, err
	}
	p := &participant{client: client, flags: flags, users: users}
	for _, flag := range flags {
		if evaluation.One(client, flag, users[0]).Variation != nil {
			p.withValues = append(p.withValues, flag)
		}
	}
	return p, nil
}

func (p *participant) evaluateAll() []evaluation.Result {
	return evaluation.All(p.client, p.flags, p.users)
}
