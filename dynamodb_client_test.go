package lddynamodb

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A launchDarkly answers the SDK's requests.
type launchDarkly func(r *http.Request) *http.Response

func (l launchDarkly) RoundTrip(r *http.Request) (*http.Response, error) { return l(r), nil }

// clientConfig is that of a client of a LaunchDarkly in memory. What SDK and store
// log goes to the fixture.
func (f *fixture) clientConfig(answer launchDarkly, options ...FeatureStoreOption) ld.Config {
	f.tb.Helper()
	factory, err := NewDynamoDBFeatureStoreFactory(f.table, append(options, ClientConfig(f.awsConfig(f.transport)))...)
	require.NoError(f.tb, err)
	config := ld.DefaultConfig
	config.FeatureStoreFactory = factory
	config.Loggers = configLoggingTo(f.log).Loggers
	config.SendEvents, config.DiagnosticOptOut = false, true
	config.BaseUri, config.StreamUri, config.EventsUri = "http://ld.example", "http://ld.example", "http://ld.example"
	config.HTTPClientFactory = func(ld.Config) http.Client { return http.Client{Transport: answer} }
	return config
}

func withStatus(r *http.Request, status int, body io.ReadCloser, header http.Header) *http.Response {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: body, Request: r, ContentLength: -1,
	}
}

// payload is what LaunchDarkly sends of a data set.
func payload(t *testing.T, flags ...ld.VersionedData) string {
	data := map[string]map[string]ld.VersionedData{"flags": {}, "segments": {}}
	for _, flag := range flags {
		data["flags"][flag.GetKey()] = flag
	}
	encoded, err := json.Marshal(data)
	require.NoError(t, err)
	return string(encoded)
}

// A client whose stream is refused never reads the SDK's channel of status changes.
func TestClientWhoseStreamIsRefusedClosesAfterShortOutages(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		require.NoError(t, f.newStore().Init(allData(flag("f", 1))))
		client, err := ld.MakeCustomClient("key", f.clientConfig(func(r *http.Request) *http.Response {
			return withStatus(r, http.StatusUnauthorized, http.NoBody, nil)
		}, CacheTTL(0)), time.Minute)
		require.Error(t, err)
		for i := range 7 {
			f.transport.setInterceptor(failing(noConnection))
			_, err := client.BoolVariation("f", ld.NewUser("u"), false)
			require.Error(t, err)
			f.transport.setInterceptor(nil)
			timeUntil(t, "the end", f.hasEnded(i+1))
			time.Sleep(2 * time.Second)
			_, err = client.BoolVariation("f", ld.NewUser("u"), false)
			require.NoError(t, err)
		}
		f.requireStatusChanges(2, 1)
		require.NoError(t, client.Close())
	})
}

// During an Init the SDK does not read that channel either.
func TestClientClosesDuringAThrottledInit(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		require.NoError(t, f.newStore().Init(allData(flag("f", 1))))
		f.putFlagRow("bad", malformedRows["item-null"])
		var reads atomic.Int32
		f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
			switch {
			case r.action == "BatchWriteItem":
				time.Sleep(4 * time.Second) // so that all attempts take longer than the test
				return unprocessed(r)
			case r.action == "GetItem" && strings.Contains(string(r.body), `"throttled"`) && reads.Add(1)%3 > 0:
				return throttled(r) // but the store's own try
			default:
				return send()
			}
		})
		var streams []*io.PipeWriter
		body := payload(t, flag("f", 2))
		client, err := ld.MakeCustomClient("key", f.clientConfig(func(r *http.Request) *http.Response {
			events, stream := io.Pipe()
			if streams = append(streams, stream); len(streams) > 1 {
				_ = stream.Close() // after Close nobody takes an event from the SDK's stream
			}
			go func() { _, _ = io.WriteString(stream, "event: put\ndata: {\"path\":\"/\",\"data\":"+body+"}\n\n") }()
			return withStatus(r, http.StatusOK, events, http.Header{"Content-Type": {"text/event-stream"}})
		}, CacheTTL(0), ClientConfig(aws.NewConfig().WithMaxRetries(0))), time.Second)
		require.ErrorIs(t, err, ld.ErrInitializationTimeout)
		for range 15 {
			_, err := client.BoolVariation("throttled", ld.NewUser("u"), false)
			require.ErrorContains(t, err, "DynamoDB is throttling")
			_, _ = client.BoolVariation("bad", ld.NewUser("u"), false)
			time.Sleep(2 * time.Second)
		}
		require.NotEmpty(t, f.transport.recorded("BatchWriteItem"))
		require.Len(t, f.log.ofStores("can be used again"), 15)
		f.requireStatusChanges(1, 0)
		require.NoError(t, client.Close())
		require.NoError(t, streams[0].Close())
		time.Sleep(time.Minute) // for what the SDK has begun
	})
}

// A polling client gets its data once, and then the answer that nothing has changed.
// It looks at no status, and sends no Init again.
func TestPollingClientWhoseFirstInitWasRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"all", "writes"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			body := payload(t, numberedFlags("f", 50)...)
			var sent atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("If-None-Match") == `"1"` {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				w.Header().Set("ETag", `"1"`)
				_, _ = io.WriteString(w, body)
				sent.Add(1)
			}))
			defer server.Close()
			f.transport.setInterceptor(ways[name])
			config := f.clientConfig(nil, RequestTimeout(500*time.Millisecond))
			config.BaseUri, config.HTTPClientFactory = server.URL, nil
			config.Stream = false
			client, err := ld.MakeCustomClient("key", config, 0)
			require.NoError(t, err)
			defer func() { require.NoError(t, client.Close()) }()
			require.Eventually(t, func() bool { return len(f.log.ofStores("WARN", "can't be used")) == 1 }, hangGuard, time.Millisecond)
			require.Empty(t, f.rows())

			f.transport.setInterceptor(nil)

			require.Eventually(t, func() bool { return f.hasEnded(1)() }, hangGuard, time.Millisecond)
			f.requireHolds(numberedFlags("f", 50))
			value, err := client.BoolVariation("f-1", ld.NewUser("u"), false)
			require.NoError(t, err)
			assert.False(t, value, "the flag has no fallthrough, and so no value")
			assert.EqualValues(t, 1, sent.Load())
		})
	}
}

// In daemon mode nobody else notices before the first evaluation.
func TestDaemonLooksAtTheTable(t *testing.T) {
	t.Parallel()
	initialized := func(f *fixture) { require.NoError(f.tb, f.newStore(Prefix("p")).Init(allData())) }
	for name, c := range map[string]struct {
		prepare func(f *fixture)
		change  func(*ld.Config)
		warning string // none if it is empty
		outage  bool
		quiet   bool // it does not look
	}{
		"a data set": {prepare: initialized},
		"another environment's": {prepare: func(f *fixture) { require.NoError(f.tb, f.newStore(Prefix("q")).Init(allData())) },
			warning: `holds no data set under the prefix "p"`},
		"an empty table": {warning: `holds no data set under the prefix "p"`},
		"no table": {prepare: func(f *fixture) { f.transport.setInterceptor(failing(refusals["missing table"].answer)) },
			warning: "there is no such table", outage: true},
		"a denial": {prepare: func(f *fixture) { f.transport.setInterceptor(denying()) },
			warning: "add it to their IAM policy", outage: true},
		"no connection": {prepare: func(f *fixture) { f.transport.setInterceptor(failing(noConnection)) },
			warning: "nothing listens", outage: true},
		"no answer": {prepare: func(f *fixture) { f.transport.setInterceptor(failing(blackHole)) },
			warning: "there was no answer", outage: true},
		"a denial of $inited alone": {prepare: func(f *fixture) {
			initialized(f)
			f.transport.setInterceptor(onPartition("p:$inited", "GetItem", refusals["access denied"].answer))
		}},
		"offline":     {change: func(c *ld.Config) { c.Offline = true }, quiet: true},
		"a connected": {change: func(c *ld.Config) { c.UseLdd = false }, quiet: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				if c.prepare != nil {
					c.prepare(f)
				}
				f.transport.reset()
				config := ld.Config{UseLdd: true, Loggers: configLoggingTo(f.log).Loggers}
				if c.change != nil {
					c.change(&config)
				}
				factory, err := NewDynamoDBFeatureStoreFactory(f.table, Prefix("p"), ClientConfig(f.awsConfig(f.transport)))
				require.NoError(t, err)
				var store ld.FeatureStore
				assert.Zero(t, elapsed(func() { store, err = factory(config) }))
				require.NoError(t, err)
				time.Sleep(10 * time.Second)

				assert.Equal(t, c.quiet, len(f.transport.recorded()) == 0)
				if c.warning == "" {
					assert.Empty(t, f.log.ofStores())
				} else {
					assert.Len(t, f.log.ofStores("WARN", c.warning), 1)
					assert.Len(t, f.log.ofStores(), 1)
				}
				assert.Equal(t, c.outage, len(storeGoroutines()) > 0)
				if c.outage {
					f.transport.setInterceptor(nil)
					timeUntil(t, "the end", f.hasEnded(1))
				}
				require.NoError(t, store.(io.Closer).Close())
				assert.Empty(t, storeGoroutines())
			})
		})
	}
}

func TestLookOfAClosedStoreIsQuiet(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		factory, err := NewDynamoDBFeatureStoreFactory(f.table, ClientConfig(f.awsConfig(f.transport)))
		require.NoError(t, err)
		f.transport.setInterceptor(failing(blackHole))
		store, err := factory(ld.Config{UseLdd: true, Loggers: configLoggingTo(f.log).Loggers})
		require.NoError(t, err)
		synctest.Wait()
		require.NotEmpty(t, f.transport.recorded())

		assert.Zero(t, elapsed(func() { require.NoError(t, store.(io.Closer).Close()) }))

		assert.Empty(t, storeGoroutines())
		assert.Empty(t, f.log.ofStores())
	})
}

// It knows nothing of the mode.
func TestDeprecatedConstructorDoesNotLook(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store, err := NewDynamoDBFeatureStore(f.table, ClientConfig(f.awsConfig(f.transport)))
		require.NoError(t, err)
		assert.Empty(t, storeGoroutines())
		time.Sleep(time.Minute)
		assert.Empty(t, f.transport.recorded())
		require.NoError(t, store.(io.Closer).Close())
	})
}
