package lddynamodb

import (
	"net/http"
	"testing"
)

// Names that outage_test.go and backlog_test.go still use.

type raceFixture struct {
	*fixture
	t *testing.T
}

func newRaceFixture(t *testing.T) *raceFixture { return &raceFixture{newFixture(t), t} }

func (f *raceFixture) intercept(_ *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
	return send()
}

func refuseAll(name string) interceptor { return failing(refusals[name].answer) }

func passEmpty(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
	return emptyTable(r)
}
