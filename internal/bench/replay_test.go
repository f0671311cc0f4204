package bench

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
)

// A replay records what DynamoDB answers to each read, and from then on answers
// in its place, so that a benchmark measures the client alone. Writes succeed
// and change nothing.
type replay struct {
	state    string // of the table; the same read has another answer in another state
	recorded sync.Map
}

type recordedResponse struct {
	http.Response
	body []byte
}

// RoundTrip implements http.RoundTripper.
func (r *replay) RoundTrip(request *http.Request) (*http.Response, error) {
	action := request.Header.Get("X-Amz-Target")
	if answer, writes := writeAnswers[action[strings.IndexByte(action, '.')+1:]]; writes {
		return answer.answer(request), nil
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	id := r.state + action + string(body)
	known, ok := r.recorded.Load(id)
	if !ok {
		request.Body = io.NopCloser(bytes.NewReader(body))
		if known, err = record(request); err != nil {
			return nil, err
		}
		r.recorded.Store(id, known)
	}
	return known.(*recordedResponse).answer(request), nil
}

// writeAnswers are what DynamoDB answers to writes that succeed.
var writeAnswers = map[string]*recordedResponse{
	"PutItem":        newResponse("{}"),
	"BatchWriteItem": newResponse(`{"UnprocessedItems": {}}`),
}

func newResponse(body string) *recordedResponse {
	return &recordedResponse{http.Response{
		StatusCode:    http.StatusOK,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		ContentLength: int64(len(body)),
	}, []byte(body)}
}

func record(request *http.Request) (*recordedResponse, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	response.ContentLength = int64(len(body)) // DynamoDB sends it, DynamoDB Local does not
	return &recordedResponse{*response, body}, err
}

func (recorded *recordedResponse) answer(request *http.Request) *http.Response {
	response := recorded.Response
	response.Header = maps.Clone(recorded.Header)
	response.Body = io.NopCloser(bytes.NewReader(recorded.body))
	response.Request = request
	return &response
}
