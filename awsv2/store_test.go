package awsv2_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go/aws"
	v1 "github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/shared_test/ldtest"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/awsv2"
)

// The SDK has these tests for the authors of stores.
func TestOfTheSDKForStores(t *testing.T) {
	t.Parallel()
	for name, ttl := range map[string]time.Duration{"uncached": 0, "cached": time.Hour, "cached for ever": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveTable(t)
			client := awsv2.New(newV2(t, s.URL, 3))
			ldtest.RunFeatureStoreTests(t, func(ld.Config) (ld.FeatureStore, error) {
				return open(t, s.table, client, &storeLog{}, lddynamodb.CacheTTL(ttl)), nil
			}, func() error { return s.clear(t) }, ttl != 0)
		})
	}
}

func TestOfTheSDKForPrefixes(t *testing.T) {
	t.Parallel()
	s := serveTable(t)
	client := awsv2.New(newV2(t, s.URL, 3))
	ldtest.RunFeatureStorePrefixIndependenceTests(t, func(prefix string) (ld.FeatureStore, error) {
		return open(t, s.table, client, &storeLog{}, lddynamodb.CacheTTL(0), lddynamodb.Prefix(prefix)), nil
	}, func() error { return s.clear(t) })
}

func TestOfTheSDKForConcurrentUpdates(t *testing.T) {
	t.Parallel()
	s := serveTable(t)
	store := open(t, s.table, awsv2.New(newV2(t, s.URL, 3)), &storeLog{}, lddynamodb.CacheTTL(0))
	other := open(t, s.table, awsv2.New(newV2(t, localEndpoint(t), 3)), &storeLog{}, lddynamodb.CacheTTL(0))
	ldtest.RunFeatureStoreConcurrentModificationTests(t, store, other, func(update func()) {
		s.handle(func(w http.ResponseWriter, r *http.Request) {
			if actionOf(r) == "PutItem" {
				update()
			}
			passOn(w, r)
		})
	})
}

// clear deletes all rows.
func (s *server) clear(t *testing.T) error {
	client := newV1(t, localEndpoint(t), 1)
	return client.ScanPages(&v1.ScanInput{TableName: &s.table}, func(page *v1.ScanOutput, _ bool) bool {
		for _, row := range page.Items {
			_, err := client.DeleteItem(&v1.DeleteItemInput{TableName: &s.table,
				Key: attributes{"namespace": row["namespace"], "key": row["key"]}})
			require.NoError(t, err)
		}
		return true
	})
}

// rows returns the keys and versions of all flags in the table.
func (s *server) rows(t *testing.T) map[string]string {
	t.Helper()
	rows := make(map[string]string)
	require.NoError(t, newV1(t, localEndpoint(t), 1).ScanPages(&v1.ScanInput{TableName: &s.table}, func(page *v1.ScanOutput, _ bool) bool {
		for _, row := range page.Items {
			if row["version"] != nil {
				rows[*row["key"].S] = *row["version"].N
			}
		}
		return true
	}))
	return rows
}

// The rows fill several pages of 1 MB.
func TestInitAndReadOfAThousandFlags(t *testing.T) {
	t.Parallel()
	const n = 1000
	s := serveTable(t)
	client := awsv2.New(newV2(t, s.URL, 3))
	data := flags(n, 1)
	require.NoError(t, open(t, s.table, client, &storeLog{}).Init(data))
	reader := open(t, s.table, client, &storeLog{})
	require.True(t, reader.Initialized())

	all, err := reader.All(ld.Features)

	require.NoError(t, err)
	assert.Equal(t, data[ld.Features], all)
	item, err := open(t, s.table, client, &storeLog{}).Get(ld.Features, flag(0, 1).Key)
	require.NoError(t, err)
	assert.Equal(t, flag(0, 1), item)
	requests, queries := s.recorded("Query")
	continued := 0
	for i, query := range queries {
		assert.Contains(t, requests[i].UserAgent(), "aws-sdk-go-v2/")
		if strings.Contains(query, "ExclusiveStartKey") {
			continued++
		}
	}
	assert.Positive(t, continued, "pages after the first")
}

// What DynamoDB has no capacity for comes back as unprocessed, and the store sends it
// again, with each retry mode of the AWS SDK v2.
func TestInitOfAThrottledTable(t *testing.T) {
	t.Parallel()
	for mode, options := range map[string]func(*dynamodb.Options){
		"standard": func(*dynamodb.Options) {},
		"adaptive": func(o *dynamodb.Options) { o.Retryer = retry.NewAdaptiveMode() },
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			const n = 100
			s := serveTable(t)
			batches := make(chan int, 1000)
			s.handle(func(w http.ResponseWriter, r *http.Request) {
				if actionOf(r) != "BatchWriteItem" {
					passOn(w, r)
					return
				}
				batches <- 0
				switch len(batches) % 4 {
				case 1:
					errorAnswers["throttled"](w, r)
				case 2:
					body, _ := io.ReadAll(r.Body)
					unprocessed, _ := strings.CutPrefix(string(body), `{"RequestItems":`)
					answer(http.StatusOK, `{"UnprocessedItems":`+unprocessed)(w, r)
				default:
					passOn(w, r)
				}
			})
			client := awsv2.New(newV2(t, s.URL, 3, options))

			err := open(t, s.table, client, &storeLog{}).Init(flags(n, 1))

			if err != nil { // the adaptive mode holds requests back, for longer than the store waits
				require.ErrorContains(t, err, "will be written when the table can be used again")
			}
			require.Eventually(t, func() bool { return len(s.rows(t)) == n }, hangGuard, 100*time.Millisecond)
		})
	}
}

// storeFaults go wrong for all requests.
func storeFaults() map[string]http.HandlerFunc {
	faults := map[string]http.HandlerFunc{
		"reset": abort(""), "cut off": abort("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Items\""),
		"empty": answer(http.StatusOK, ""), "login page": answer(http.StatusOK, "<html>Log in</html>"),
		"wrong checksum": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amz-Crc32", "1")
			answer(http.StatusOK, `{"Items":[],"UnprocessedItems":{}}`)(w, r)
		},
		"deaf": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
	for _, name := range []string{"missing table", "denied", "throttled", "account throttled", "request limit", "expired", "unknown key",
		"wrong signature", "internal", "unavailable", "HTML 403", "HTML 500", "HTML 501", "HTML 502", "HTML 503", "HTML 504"} {
		faults[name] = errorAnswers[name]
	}
	return faults
}

// varying is what differs from one request or run to the next in an error.
var varying = regexp.MustCompile(`127\.0\.0\.1:\d+|after [\d.]+m?s|\(status \d+, request \w+\)|the response can't be used: .*`)

// A store with a client of each AWS SDK lives through each fault: it says the same of
// it, serves the same, and writes everything when the fault is gone.
func TestStoresTreatFaultsAsWithV1(t *testing.T) {
	t.Parallel()
	for name, fault := range storeFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := make(map[string][]string)
			for _, sdk := range []string{"v1", "v2"} {
				s := serveTable(t)
				seen[sdk] = liveThrough(t, s, clients(t, s.URL, 2)[sdk], fault)
			}
			assert.Equal(t, seen["v1"], seen["v2"])
		})
	}
}

// liveThrough returns what a store's calls give during a fault.
func liveThrough(t *testing.T, s *server, client dynamodbiface.DynamoDBAPI, fault http.HandlerFunc) (seen []string) {
	t.Helper()
	log := &storeLog{}
	store := open(t, s.table, client, log, lddynamodb.CacheTTL(time.Nanosecond), lddynamodb.RequestTimeout(2*time.Second))
	require.NoError(t, store.Init(flags(3, 1)))
	_, err := store.Get(ld.Features, flag(0, 1).Key)
	require.NoError(t, err)
	see := func(what string, err error) {
		text := "no error"
		if err != nil { // what comes before the last name of the table tells which request it was
			parts := strings.Split(err.Error(), fmt.Sprintf("table %q: ", s.table))
			text = varying.ReplaceAllString(parts[len(parts)-1], "…")
		}
		seen = append(seen, what+": "+text)
	}
	s.handle(fault)

	see("update", store.Upsert(ld.Features, flag(1, 2)))
	known, err := store.Get(ld.Features, flag(0, 1).Key)
	see(fmt.Sprintf("known flag %v", known != nil), err)
	_, err = store.Get(ld.Features, "unknown")
	see("unknown flag", err)
	see("init", store.Init(flags(4, 3)))
	all, err := store.All(ld.Features)
	see(fmt.Sprintf("all flags %d", len(all)), err)
	require.Eventually(t, func() bool { return len(log.with("can't be used")) > 0 }, hangGuard, 10*time.Millisecond)

	s.handle(nil)
	want := make(map[string]string)
	for key := range flags(4, 3)[ld.Features] {
		want[key] = "3"
	}
	require.Eventually(t, func() bool { return maps.Equal(want, s.rows(t)) }, hangGuard, 100*time.Millisecond)
	require.Eventually(t, func() bool { return len(log.with("can be used again")) > 0 }, hangGuard, 10*time.Millisecond)
	return seen
}

// An update that is not newer is refused by the table, which is no failure.
func TestUpdatesKeepNewerRows(t *testing.T) {
	t.Parallel()
	s := serveTable(t)
	log := &storeLog{}
	store := open(t, s.table, awsv2.New(newV2(t, s.URL, 3)), log)
	require.NoError(t, open(t, s.table, awsv2.New(newV2(t, s.URL, 3)), log).Init(flags(1, 5)))

	require.NoError(t, store.Upsert(ld.Features, flag(0, 4)))

	assert.Equal(t, "5", s.rows(t)[flag(0, 5).Key])
	item, err := store.Get(ld.Features, flag(0, 5).Key)
	require.NoError(t, err)
	assert.Equal(t, 5, item.GetVersion())
	assert.Empty(t, log.with("WARN"))
}

// An item that DynamoDB calls invalid takes no others away.
func TestUnstorableItems(t *testing.T) {
	t.Parallel()
	s := serveTable(t)
	store := open(t, s.table, awsv2.New(newV2(t, s.URL, 3)), &storeLog{})
	data := flags(30, 1)
	large := flag(0, 1)
	large.Salt = strings.Repeat("x", 500_000)
	data[ld.Features][large.Key] = large

	require.NoError(t, store.Init(data))

	assert.Len(t, s.rows(t), 29)
	_, err := clients(t, s.URL, 1)["v2"].PutItemWithContext(t.Context(), &v1.PutItemInput{TableName: &s.table,
		Item: attributes{"namespace": {S: aws.String("features")}, "key": {S: aws.String("")}}})
	assert.Equal(t, "ValidationException", described(t, err)["code"])
}
