package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
)

// network is how one process reaches DynamoDB. It can be down, and counts what
// goes through.
type network struct {
	mu       sync.Mutex
	down     bool
	requests map[string]int // by DynamoDB's name of the operation
	units    map[string]float64
}

func newNetwork() *network {
	return &network{requests: make(map[string]int), units: make(map[string]float64)}
}

func (n *network) setDown(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
}

// counts returns the requests and the capacity units so far, by operation.
// Units are there only for clients that ask DynamoDB for them.
func (n *network) counts() (requests map[string]int, units map[string]float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.requests), maps.Clone(n.units)
}

// RoundTrip makes the network an HTTP transport.
func (n *network) RoundTrip(request *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(request.Header.Get("X-Amz-Target"), ".")
	if !n.begin(operation) {
		return nil, errors.New("the network is down")
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, n.end(operation, body)
}

func (n *network) begin(operation string) (up bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.down {
		n.requests[operation]++
	}
	return !n.down
}

func (n *network) end(operation string, body []byte) error {
	units, err := consumedUnits(body)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.units[operation] += units
	return nil
}

// consumedUnits reads the capacity units of a response. DynamoDB gives one
// object for each table, and just the object where an operation has one table.
func consumedUnits(body []byte) (float64, error) {
	var response struct{ ConsumedCapacity json.RawMessage }
	if err := json.Unmarshal(body, &response); err != nil {
		return 0, err
	}
	type capacity struct{ CapacityUnits float64 }
	var tables []capacity
	switch raw := response.ConsumedCapacity; {
	case raw == nil:
		return 0, nil
	case raw[0] == '[':
		if err := json.Unmarshal(raw, &tables); err != nil {
			return 0, err
		}
	default:
		tables = make([]capacity, 1)
		if err := json.Unmarshal(raw, &tables[0]); err != nil {
			return 0, err
		}
	}
	units := 0.0
	for _, table := range tables {
		units += table.CapacityUnits
	}
	return units, nil
}
