package awsv2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	sdkv2 "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/awsv2"
)

// cause returns the innermost error, in the AWS SDK v1's way of wrapping and Go's.
func cause(err error) error {
	for {
		var coded awserr.Error
		if errors.As(err, &coded) && coded.OrigErr() != nil {
			err = coded.OrigErr()
		} else if inner := errors.Unwrap(err); inner != nil {
			err = inner
		} else {
			return err
		}
	}
}

func TestRefusedConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.Close()
	both := clients(t, s.URL, 3)
	for action, call := range calls {
		_, want := call(t.Context(), both["v1"])
		_, err := call(t.Context(), both["v2"])
		assert.Equal(t, described(t, want)["code"], described(t, err)["code"], action)
		assert.Equal(t, want.Error(), err.Error(), action)
		assert.Equal(t, syscall.ECONNREFUSED, cause(err))
	}
}

func TestUnknownHosts(t *testing.T) {
	t.Parallel()
	both := clients(t, "http://dynamodb.invalid", 1)
	for sdk, client := range both {
		_, err := calls["GetItem"](t.Context(), client)
		assert.Equal(t, "RequestError", described(t, err)["code"], sdk)
		var unknown *net.DNSError
		assert.ErrorAs(t, cause(err), &unknown)
	}
}

// abort ends the connection, after part of a response or none.
func abort(part string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(connection, part)
		_ = connection.(*net.TCPConn).SetLinger(len(part)) // with no response, a reset
		_ = connection.Close()
	}
}

func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]struct{ part, code string }{
		"before the response":     {"", "RequestError"},
		"in the header":           {"HTTP/1.1 200 O", "RequestError"},
		"in the body":             {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Items\"", "SerializationError"},
		"in the body of an error": {"HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n{\"__type\":", "SerializationError"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, abort(broken.part))
			both := clients(t, s.URL, 3)
			for action, call := range calls {
				for sdk, client := range both {
					_, err := call(t.Context(), client)
					assert.Equal(t, broken.code, described(t, err)["code"], "%s, %s", action, sdk)
				}
			}
			s.handle(answer(http.StatusOK, `{"Items":[],"UnprocessedItems":{}}`))
			for action, call := range calls {
				_, err := call(t.Context(), both["v2"])
				assert.NoError(t, err, action)
			}
		})
	}
}

// deaf never answers. It tells when a request has come.
func deaf(came chan<- struct{}, part string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if part != "" {
			_, _ = io.WriteString(w, part)
			w.(http.Flusher).Flush()
		}
		select {
		case came <- struct{}{}:
		case <-r.Context().Done():
		}
		<-r.Context().Done()
	}
}

// A call ends with its context, not after the network's patience or other attempts.
func TestContextsEndCalls(t *testing.T) {
	t.Parallel()
	for name, part := range map[string]string{"no answer": "", "half an answer": `{"Items":[`} {
		for _, attempts := range []int{1, 10} {
			t.Run(fmt.Sprintf("%s, attempts: %d", name, attempts), func(t *testing.T) {
				t.Parallel()
				came := make(chan struct{})
				both := clients(t, serve(t, deaf(came, part)).URL, attempts)
				for action, call := range calls {
					for sdk, client := range both {
						ctx, cancel := context.WithCancel(t.Context())
						ended := make(chan error)
						go func() {
							_, err := call(ctx, client)
							ended <- err
						}()
						<-came
						cancel()
						err := <-ended
						if part == "" || sdk == "v2" { // the AWS SDK v1 may have read the end of the body
							assert.Equal(t, "RequestCanceled: request context canceled\ncaused by: context canceled", err.Error(), "%s, %s", action, sdk)
							assert.Equal(t, context.Canceled, cause(err))
						}
					}
				}
			})
		}
	}
}

func TestContextsThatHaveEnded(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(http.StatusOK, "{}"))
	both := clients(t, s.URL, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for action, call := range calls {
		_, want := call(ctx, both["v1"])
		_, err := call(ctx, both["v2"])
		assert.Equal(t, described(t, want), described(t, err), action)
		assert.Equal(t, context.DeadlineExceeded, cause(err))
	}
	assert.Empty(t, s.requests)
}

// The wait before another attempt ends with the context too.
func TestContextsEndWaits(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"throttled": errorAnswers["throttled"], "internal": errorAnswers["internal"], "empty": answer(http.StatusOK, ""),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		s := serve(t, handler)
		retryer := retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) {
				cancel()
				return time.Hour, nil
			})
		})
		client := awsv2.New(newV2(t, s.URL, 0, func(o *dynamodb.Options) { o.Retryer = retryer }))
		_, err := calls["PutItem"](ctx, client)
		assert.Equal(t, "RequestCanceled", described(t, err)["code"], name)
		assert.Len(t, s.requests, 1)
	}
}

// The AWS SDK v2's own retries work, in each of its modes, with what the client's
// deserializer makes of responses.
func TestRetriesOfV2(t *testing.T) {
	t.Parallel()
	standard := func(o *retry.StandardOptions) { o.MaxBackoff = 1 }
	for mode, retryer := range map[string]sdkv2.Retryer{
		"standard": retry.NewStandard(standard),
		"adaptive": retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
			o.StandardOptions = append(o.StandardOptions, standard)
		}),
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			for fault, handler := range map[string]http.HandlerFunc{
				"throttled": errorAnswers["throttled"], "internal": errorAnswers["internal"], "gateway": errorAnswers["HTML 502"],
				"reset": abort(""), "empty": answer(http.StatusOK, ""), "denied": errorAnswers["denied"],
			} {
				var requests atomic.Int64
				s := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if requests.Add(1) < 3 {
						handler(w, r)
						return
					}
					answer(http.StatusOK, `{"Items":[{"key":{"S":"a"}}]}`)(w, r)
				})
				client := awsv2.New(newV2(t, s.URL, 0, func(o *dynamodb.Options) { o.Retryer = retryer }))
				_, err := calls["Query"](t.Context(), client)
				if fault == "denied" {
					require.Error(t, err)
					assert.EqualValues(t, 1, requests.Load())
					continue
				}
				require.NoError(t, err, fault)
				assert.EqualValues(t, 3, requests.Load())
			}
		})
	}
}
