package lddynamodb

import (
	"encoding/json"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// The actions of DynamoDB that the store needs, in alphabetical order. They are
// those of the documented IAM policies.
var (
	readActions      = []string{"GetItem", "Query"}
	readWriteActions = []string{"BatchWriteItem", "GetItem", "PutItem", "Query"}
)

// optionSets has stores of every sort.
var optionSets = map[string][]FeatureStoreOption{
	"no cache":              {CacheTTL(0)},
	"default":               {},
	"cached forever":        {CacheTTL(-1)},
	"refreshed":             {CacheTTL(time.Millisecond), StaleValues(RefreshStaleValues)},
	"refreshed later":       {CacheTTL(time.Millisecond), StaleValues(RefreshStaleValuesAsync)},
	"eventually consistent": {CacheTTL(0), ConsistentReads(false)},
}

func TestActionsOfDynamoDB(t *testing.T) {
	t.Parallel()
	for name, options := range optionSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			store := f.newStore(options...)

			f.readEverything(store)
			f.writeEverything(store)
			f.readEverything(store)

			assert.Equal(t, readWriteActions, f.actions())
		})
	}
}

// A process in daemon mode only reads, whatever it finds.
func TestReadsMakeNoWrites(t *testing.T) {
	t.Parallel()
	for name, options := range optionSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newMalformedFixture(t)
			f.transport.reset()
			store := f.newStore(options...)

			f.readEverything(store)

			assert.Equal(t, readActions, f.actions())
		})
	}
}

// actions returns the actions of the requests so far.
func (f *fixture) actions() []string {
	var actions []string
	for _, r := range f.transport.recorded() {
		actions = append(actions, r.action)
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

// readEverything does what a process in daemon mode does, before, during and
// after an outage.
func (f *fixture) readEverything(store ld.FeatureStore) {
	f.tb.Helper()
	read := func() {
		store.Initialized()
		for _, kind := range ld.VersionedDataKinds {
			_, _ = store.All(kind)
			for _, key := range []string{"a", "b", "absent", "json-null", ""} {
				_, _ = store.Get(kind, key)
			}
		}
	}
	read()
	f.breakDown(read)
	read()
}

// writeEverything does what a process does that is connected to LaunchDarkly.
func (f *fixture) writeEverything(store ld.FeatureStore) {
	f.tb.Helper()
	data := allData(flag("a", 1), flag("b", 1, "a"), flag("obsolete", 1), segment("a", 1))
	require.NoError(f.tb, store.Init(data))
	require.NoError(f.tb, store.Upsert(ld.Features, flag("a", 3)))
	require.NoError(f.tb, store.Upsert(ld.Features, flag("a", 2)), "older than the table's")
	require.NoError(f.tb, store.Upsert(ld.Features, flagOfSize("a", 4, maxItemBytes)), "too large")
	require.NoError(f.tb, store.Delete(ld.Segments, "a", 2))
	f.breakDown(func() {
		require.Error(f.tb, store.Upsert(ld.Features, flag("c", 1)))
		require.Error(f.tb, store.Init(data))
	})
	require.NoError(f.tb, store.Init(allData(flag("a", 5))))
}

// breakDown refuses all requests for the time of an outage, and returns when the
// store has noticed its end.
func (f *fixture) breakDown(during func()) {
	f.tb.Helper()
	normal := f.transport.intercept
	f.transport.setInterceptor(refuseAll("access denied"))
	during()
	f.transport.setInterceptor(normal)
	require.Eventually(f.tb, func() bool {
		return len(f.log.ofStores("INFO:", "can be used again")) == len(f.log.ofStores("WARN:", "can't be used"))
	}, time.Minute, 10*time.Millisecond)
}

// prefixes that could be taken for one another, or for what follows a prefix.
var prefixes = []string{
	"", "a", "aa", "a:", ":a", ":", "a:a", "a:features", "features", "segments", "$inited", "a:$inited", "*", "a*", "a?",
}

func TestPrefixesCantReachEachOther(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			newStore := func(prefix string) ld.FeatureStore { return f.newStore(CacheTTL(ttl), Prefix(prefix)) }
			dataOf := func(i int) map[ld.VersionedDataKind]map[string]ld.VersionedData {
				return allData(flag("same", i+1), flag("only of "+prefixes[i], 1), flag("$inited", i+1),
					flag("a:$inited", i+1), flag("features", i+1), segment("same", i+1), segment("$inited", i+1))
			}
			for i, prefix := range prefixes {
				store := newStore(prefix)
				for kind, items := range dataOf(i) {
					for _, item := range items {
						require.NoError(t, store.Upsert(kind, item))
					}
				}
			}
			for i, prefix := range prefixes {
				store := newStore(prefix)
				assert.False(t, store.Initialized(), "prefix %q, though others are", prefix)
				require.NoError(t, store.Init(dataOf(i)))
				assert.True(t, newStore(prefix).Initialized(), "prefix %q", prefix)
			}
			f.checkPrefixes(newStore, dataOf)

			store := newStore(prefixes[1])
			require.NoError(t, store.Delete(ld.Features, "same", 1000))
			require.NoError(t, store.Init(allData()))
			f.checkPrefixes(newStore, func(i int) map[ld.VersionedDataKind]map[string]ld.VersionedData {
				if i == 1 {
					return allData()
				}
				return dataOf(i)
			})
		})
	}
}

func (f *fixture) checkPrefixes(
	newStore func(prefix string) ld.FeatureStore, dataOf func(i int) map[ld.VersionedDataKind]map[string]ld.VersionedData,
) {
	f.tb.Helper()
	for i, prefix := range prefixes {
		store := newStore(prefix)
		for kind, want := range dataOf(i) {
			items, err := store.All(kind)
			require.NoError(f.tb, err)
			assert.Equal(f.tb, want, items, "prefix %q", prefix)
			for key, item := range want {
				got, err := store.Get(kind, key)
				require.NoError(f.tb, err)
				assert.Equal(f.tb, item, got, "prefix %q", prefix)
			}
		}
	}
}

// indiscreet has responses that repeat the request, or flags, as a proxy or a
// corrupted line may send them.
var indiscreet = map[string]func(*sentRequest) (*http.Response, error){
	"HTML":             repeatRequest(http.StatusOK, ""),
	"HTML error":       repeatRequest(http.StatusBadGateway, ""),
	"refusal":          repeatRequest(http.StatusBadRequest, "AccessDeniedException"),
	"internal error":   repeatRequest(http.StatusInternalServerError, "InternalServerError"),
	"bad signature":    repeatRequest(http.StatusBadRequest, "InvalidSignatureException"),
	"response timeout": blackHole,
	"no connection":    refuse,
	"string":           repeatBody(`BODY`),
	"wrong item":       repeatBody(`{"Item":BODY,"Items":[BODY],"UnprocessedItems":BODY}`),
	"wrong list":       repeatBody(`{"Item":[BODY],"Items":BODY,"UnprocessedItems":[BODY]}`),
	"wrong attribute": repeatBody(`{"Item":{"version":{"N":"1"},"item":{"S":BODY}},"Items":[{"item":{"S":BODY}}],` +
		`"UnprocessedItems":{},"Attributes":BODY}`),
	"wrong capacity": repeatBody(`{"Item":{"item":BODY},"Items":[],"UnprocessedItems":{},"ConsumedCapacity":BODY}`),
}

// repeatRequest answers with headers and body of the request below the first
// line of the error.
func repeatRequest(status int, code string) func(*sentRequest) (*http.Response, error) {
	return func(r *sentRequest) (*http.Response, error) {
		dump, err := httputil.DumpRequest(r.http, true)
		if err != nil {
			return nil, err
		}
		if code == "" {
			return answer(r, status, "<pre>"+string(dump)+string(r.body)+"</pre>"), nil
		}
		return answerError(r, status, code, "No.\n"+string(dump)+string(r.body)), nil
	}
}

// repeatBody answers with a body in which BODY stands for the request's and for
// a part of a flag, as a JSON string.
func repeatBody(body string) func(*sentRequest) (*http.Response, error) {
	return func(r *sentRequest) (*http.Response, error) {
		literal, err := json.Marshal(secretInFlag + string(r.body))
		if err != nil {
			return nil, err
		}
		return answer(r, http.StatusOK, strings.ReplaceAll(body, "BODY", string(literal))), nil
	}
}

func TestLogsAndErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	secrets := []string{"the-secret-key", "the-session-token", secretInFlag}
	for action, call := range secretCalls {
		for name, fault := range indiscreet {
			t.Run(action+", "+name, func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					store := f.newStore(CacheTTL(0), ClientConfig(aws.NewConfig().WithCredentials(
						credentials.NewStaticCredentials("the-key-id", secrets[0], secrets[1]))))
					f.transport.setInterceptor(failing(fault, action))

					told := []string{}
					if err := call(store); err != nil {
						told = append(told, err.Error())
					}
					store.Initialized()
					time.Sleep(time.Minute)

					assert.NotEmpty(t, f.transport.recorded(action), "it came to the fault")
					told = append(told, f.log.all()...)
					for _, secret := range secrets {
						assert.NotContains(t, strings.Join(told, "\n"), secret)
					}
				})
			})
		}
	}
}

// secretCalls are like storeCalls, with a secret in the flags.
var secretCalls = map[string]func(ld.FeatureStore) error{
	"GetItem": func(store ld.FeatureStore) error {
		_, err := store.Get(ld.Features, "any")
		return err
	},
	"Query": func(store ld.FeatureStore) error {
		_, err := store.All(ld.Features)
		return err
	},
	"PutItem":        func(store ld.FeatureStore) error { return store.Upsert(ld.Features, secretFlag("any")) },
	"BatchWriteItem": func(store ld.FeatureStore) error { return store.Init(allData(secretFlag("any"))) },
}

func secretFlag(key string) *ld.FeatureFlag {
	f := flag(key, 1)
	f.Salt = secretInFlag
	return f
}

func TestItemsThatCantBeStoredAreNotLogged(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store := f.newStore()
		f.transport.setInterceptor(passEmpty)
		tooLarge := flagOfSize("too large", 1, maxItemBytes)
		tooLarge.Salt += secretInFlag
		noJSON := flag("no JSON", 1)
		noJSON.Variations = []interface{}{secretInFlag, func() {}}

		require.NoError(t, store.Init(allData(tooLarge, noJSON)))
		require.NoError(t, store.Upsert(ld.Features, secretFlag(strings.Repeat("k", maxSortKeyBytes+1))))

		assert.Len(t, f.log.ofStores("ERROR:"), 3)
		assert.NotContains(t, strings.Join(f.log.all(), "\n"), secretInFlag)
	})
}

// TestSessionErrorRepeatsNoCredentials is about a configuration file that can't
// be parsed: the AWS SDK's error repeats it, as decimal character codes.
func TestSessionErrorRepeatsNoCredentials(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte("[default\naws_secret_access_key=the-secret\n"), 0o600))

	_, err := NewDynamoDBFeatureStore("table", SessionOptions(session.Options{
		SharedConfigState: session.SharedConfigEnable, SharedConfigFiles: []string{file},
	}))

	require.Error(t, err)
	assert.NotContains(t, err.Error(), "115 101 99 114 101 116", "the codes of 'secret'")
}
