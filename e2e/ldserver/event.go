package ldserver

import (
	"encoding/json"
	"fmt"

	"github.com/launchdarkly/eventsource"
)

// An event is a server-sent event. Its data is JSON on a single line.
type event struct{ name, data string }

// Id implements eventsource.Event. LaunchDarkly's events have none.
func (event) Id() string { return "" } //nolint:revive // the interface's spelling

// Event implements eventsource.Event.
func (e event) Event() string { return e.name }

// Data implements eventsource.Event.
func (e event) Data() string { return e.data }

// everything is what a new connection gets before all changes.
type everything struct{ *Server }

// Replay implements eventsource.Repository.
func (e everything) Replay(string, string) chan eventsource.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	events := make(chan eventsource.Event, 1)
	events <- e.data.put()
	close(events)
	return events
}

// The data of the three events, in the protocol's own shapes.
type (
	putData struct {
		Path string  `json:"path"`
		Data dataSet `json:"data"`
	}
	patchData struct {
		Path string          `json:"path"`
		Data json.RawMessage `json:"data"`
	}
	deleteData struct {
		Path    string `json:"path"`
		Version int    `json:"version"`
	}
)

func (d dataSet) put() event { return newEvent("put", putData{Path: "/", Data: d}) }

func newEvent(name string, data any) event {
	encoded, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("encoding a %s event: %v", name, err)) // all of it was valid JSON when it came in
	}
	return event{name: name, data: string(encoded)}
}
