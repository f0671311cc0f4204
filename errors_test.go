package lddynamodb

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/credentials/processcreds"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

func TestErrorsTellTheTableTheCauseAndTheRemedy(t *testing.T) {
	t.Parallel()
	for name, refused := range refusals {
		for action, call := range callOf {
			runInFakeTime(t, name+", "+action, func(t *testing.T, f *fixture) {
				store := f.newStore()
				f.transport.setInterceptor(failing(refused.answer, action))
				_, err := call(store, flag("any", 1))
				assertTells(t, err, action, f.table, refused.code, refused.remedy)
				if name == "access denied" {
					assert.ErrorContains(t, err, "perform: dynamodb:"+action+" on resource")
				}
			})
		}
	}
}

// assertTells checks that an error wraps the AWS error with a code, and tells what it should in one line without
// credentials.
func assertTells(t *testing.T, err error, texts ...string) {
	t.Helper()
	var failure awserr.Error
	require.ErrorAs(t, err, &failure)
	assert.Contains(t, texts, failure.Code())
	for _, text := range texts {
		assert.ErrorContains(t, err, text)
	}
	assert.NotContains(t, err.Error(), "\n")
	assert.NotContains(t, err.Error(), "session-token")
}

// These never get as far as to DynamoDB.
func TestErrorsOfTheAWSSettingsTellTheRemedy(t *testing.T) {
	t.Parallel()
	endpoint, err := dynamolocal.Endpoint()
	require.NoError(t, err)
	for name, test := range map[string]struct {
		config       *aws.Config
		code, remedy string
	}{
		"no credentials": {aws.NewConfig().WithEndpoint(endpoint).WithRegion("us-east-1"),
			"NoCredentialProviders", "no AWS credentials were found"},
		"empty credentials": {aws.NewConfig().WithEndpoint(endpoint).WithRegion("us-east-1").
			WithCredentials(credentials.NewStaticCredentials("", "", "")),
			"EmptyStaticCreds", "no AWS credentials were found"},
		"no region": {aws.NewConfig().WithCredentials(credentials.NewStaticCredentials("id", "secret", "")),
			"MissingRegion", "no AWS region is set"},
	} {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			awsSession, err := session.NewSession(test.config)
			require.NoError(t, err)
			err = get(f.newStore(DynamoClient(dynamodb.New(awsSession))), "f")()
			assertTells(t, err, f.table, test.code, test.remedy, "GetItem features/f")
			time.Sleep(time.Second)
			assert.Len(t, f.log.ofStores(test.remedy), 1)
		})
	}
}

func TestTablesWithOtherKeySchemas(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{
		"id:S", "namespace:S", "key:S", "namespace:S id:S", "Namespace:S Key:S", "key:S namespace:S",
		"namespace:N key:S", "namespace:S key:N", "namespace:B key:B",
	} {
		runWithTable(t, schema, func(t *testing.T, f *fixture) {
			f.table += "-other"
			f.createTable(strings.Fields(schema)...)
			err := f.newStore().Init(allData(flag("a", 1), flag("b", 1)))
			const remedy = `the table seems to have another key schema; it needs the partition key "namespace" and the sort key "key"`
			assertTells(t, err, f.table, "ValidationException", remedy)
			assert.False(t, f.newStore().Initialized())
			output, err := f.client.Scan(&dynamodb.ScanInput{TableName: aws.String(f.table)})
			require.NoError(t, err)
			assert.Empty(t, output.Items, "Init has written nothing")
			time.Sleep(time.Second)
			assert.NotEmpty(t, f.log.ofStores("WARN:", remedy))
		})
	}
}

// foreignAnswers are what proxies, portals and other servers answer.
var foreignAnswers = map[string]struct {
	status int
	body   string
}{
	"a portal":                      {http.StatusOK, "<html>Hello</html>"},
	"a proxy's denial":              {http.StatusForbidden, "<html>Hello</html>"},
	"nothing, with 503":             {http.StatusServiceUnavailable, ""},
	"JSON without a name":           {http.StatusForbidden, `{"message":"Forbidden"}`},
	"another AWS service":           {http.StatusMethodNotAllowed, `<?xml version="1.0"?><Error><Code>MethodNotAllowed</Code></Error>`},
	"another AWS service with JSON": {http.StatusBadRequest, `{"__type":"UnknownOperationException"}`},
}

func TestAnswersOfOthersTellTheStatusAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range foreignAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachTableCall(t, func(t *testing.T, f *fixture, _ string, call func(context.Context, *table) error) {
				f.transport.setInterceptor(failing(func(r *sentRequest) (*http.Response, error) {
					response := answer(r, c.status, c.body)
					if name == "another AWS service" {
						response.Header.Set("X-Amz-Request-Id", requestID)
					}
					return response, nil
				}))
				err := call(t.Context(), f.newTable(5*time.Second))
				assert.ErrorContains(t, err, fmt.Sprintf(
					"something other than DynamoDB answered, HTTP %d; check the endpoint and proxies", c.status))
				assert.ErrorContains(t, err, fmt.Sprintf("(status %d", c.status))
				assert.True(t, concernsTable(err))
				assert.Len(t, f.transport.recorded(), 1)
			})
		})
	}
}

// Real servers and proxies, as net/http tells of them.
func TestWrongEndpointsAndProxiesTellTheRemedy(t *testing.T) {
	t.Parallel()
	const others = "something other than DynamoDB answered, "
	plain := httptest.NewServer(http.NotFoundHandler())
	withTLS := httptest.NewUnstartedServer(http.NotFoundHandler())
	withTLS.Config.ErrorLog = nil
	withTLS.StartTLS()
	forbidding := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	t.Cleanup(func() { plain.Close(); withTLS.Close(); forbidding.Close() })
	for name, c := range map[string]struct{ endpoint, proxy, says string }{
		"HTTPS to HTTP":            {strings.Replace(plain.URL, "http:", "https:", 1), "", "the connection failed"},
		"HTTP to HTTPS":            {strings.Replace(withTLS.URL, "https:", "http:", 1), "", others + "HTTP 400"},
		"an unknown certificate":   {withTLS.URL, "", "the connection failed"},
		"a web server":             {plain.URL, "", others + "HTTP 404"},
		"a proxy that denies":      {"https://dynamodb.example", forbidding.URL, "the connection failed"},
		"a proxy that isn't there": {"https://dynamodb.example", nowhere, "the connection failed"},
		"nothing":                  {nowhere, "", "the connection failed"},
		"an impossible endpoint":   {"http://[", "", "the connection failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attempts := 0
			transport := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
				if attempts++; c.proxy == "" {
					return nil, nil
				}
				return url.Parse(c.proxy)
			}}
			t.Cleanup(transport.CloseIdleConnections)
			f := &fixture{tb: t, table: "no-table"}
			client := f.newClientOf(f.awsConfig(transport).WithEndpoint(c.endpoint).WithMaxRetries(maxConnectAttempts))
			_, err := (&table{client: client, name: f.table, timeout: hangGuard}).get(t.Context(), rowKey{"features", "f"}, true)
			require.ErrorContains(t, err, c.says)
			assert.True(t, concernsTable(err))
			if c.endpoint == nowhere || c.proxy == nowhere {
				assert.Equal(t, maxConnectAttempts, attempts)
			}
		})
	}
}

// An emulator may leave out, or answer null for, what DynamoDB always answers.
func TestBatchesOfWhichNothingIsSaidToBeUnprocessed(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, ` {"UnprocessedItems":null}`, `{"UnprocessedItems":{}}`} {
		inFakeTime(t, func(t *testing.T, f *fixture) {
			f.transport.setInterceptor(failing(withBody(body), batchWriteItem))
			unprocessed, err := f.newTable(time.Second, aws.NewConfig()).batchWrite(t.Context(), "features",
				writeRequests([]row{{rowKey: rowKey{"features", "f"}}}))
			require.NoError(t, err)
			assert.Empty(t, unprocessed)
		})
	}
}

// indiscreet has responses that repeat the request, or flags, as a proxy or a corrupted line may send them.
var indiscreet = map[string]reply{
	"HTML":             repeatRequest(http.StatusOK, ""),
	"refusal":          repeatRequest(http.StatusBadRequest, "AccessDeniedException"),
	"bad signature":    repeatRequest(http.StatusBadRequest, "InvalidSignatureException"),
	"response timeout": blackHole,
	"no connection":    noConnection,
	"string":           repeatBody(`BODY`),
	"wrong item":       repeatBody(`{"Item":BODY,"Items":[BODY],"UnprocessedItems":BODY}`),
	"wrong attribute": repeatBody(`{"Item":{"version":{"N":"1"},"item":{"S":BODY}},"Items":[{"item":{"S":BODY}}],` +
		`"UnprocessedItems":{},"Attributes":BODY}`),
	"wrong capacity": repeatBody(`{"Item":{"item":BODY},"Items":[],"UnprocessedItems":{},"ConsumedCapacity":BODY}`),
}

// repeatRequest answers with headers and body of the request below the first line of the error.
func repeatRequest(status int, code string) reply {
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

// repeatBody answers with a body in which BODY stands for the request's and for a part of a flag, as a JSON string.
func repeatBody(body string) reply {
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
	for action, call := range callOf {
		for name, fault := range indiscreet {
			runInFakeTime(t, action+", "+name, func(t *testing.T, f *fixture) {
				store := f.newStore(CacheTTL(0), ClientConfig(aws.NewConfig().WithCredentials(
					credentials.NewStaticCredentials("the-key-id", secrets[0], secrets[1]))))
				f.transport.setInterceptor(failing(fault, action))
				told := []string{}
				if _, err := call(store, secretFlag("any", 1)); err != nil {
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
		}
	}
}

func TestItemsThatCantBeStoredAreNotLogged(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store := f.newStore()
		tooLarge := flagOfSize("too large", 1, maxItemBytes)
		tooLarge.Salt += secretInFlag
		noJSON := flag("no JSON", 1)
		noJSON.Variations = []interface{}{secretInFlag, func() {}}
		require.NoError(t, store.Init(allData(tooLarge, noJSON)))
		require.NoError(t, store.Upsert(ld.Features, secretFlag(strings.Repeat("k", maxSortKeyBytes+1), 1)))
		assert.Len(t, f.log.ofStores("ERROR:"), 3)
		assert.NotContains(t, strings.Join(f.log.all(), "\n"), secretInFlag)
	})
}

// The AWS SDK's errors repeat what of the credentials can't be read, some of it as decimal character codes.
func TestErrorsRepeatNoCredentials(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "credentials")
	require.NoError(t, os.WriteFile(file, []byte("[flags\naws_secret_access_key = the-secret\n"), 0o600))
	withCredentials := func(c *credentials.Credentials) FeatureStoreOption {
		return ClientConfig(aws.NewConfig().WithCredentials(c))
	}
	for name, test := range map[string]struct {
		option FeatureStoreOption
		says   string
	}{
		"process": {withCredentials(processcreds.NewCredentials(`echo '{"Version":1,"SecretAccessKey":"the-secret"'`)),
			"ProcessProviderParseError"},
		"file": {withCredentials(credentials.NewSharedCredentials(file, "flags")), "INIParseError"},
		"session": {SessionOptions(session.Options{
			SharedConfigState: session.SharedConfigEnable, SharedConfigFiles: []string{file},
		}), "session"},
	} {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			connection := ClientConfig(aws.NewConfig().WithEndpoint(*f.client.Config.Endpoint).WithRegion("us-east-1"))
			store, err := f.newFactory(connection, test.option)()
			if err == nil {
				_, err = store.Get(ld.Features, "any")
			}
			require.ErrorContains(t, err, test.says)
			for _, line := range append(f.log.ofStores(), err.Error()) {
				assert.NotContains(t, line, "the-secret")
				assert.NotContains(t, line, "115 101 99 114 101 116", "the characters' codes")
			}
		})
	}
}
