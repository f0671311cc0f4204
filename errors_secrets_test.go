package lddynamodb

import (
	"encoding/json"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/credentials/processcreds"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// indiscreet has responses that repeat the request, or flags, as a proxy or a
// corrupted line may send them.
var indiscreet = map[string]reply{
	"HTML":             repeatRequest(http.StatusOK, ""),
	"HTML error":       repeatRequest(http.StatusBadGateway, ""),
	"refusal":          repeatRequest(http.StatusBadRequest, "AccessDeniedException"),
	"internal error":   repeatRequest(http.StatusInternalServerError, "InternalServerError"),
	"bad signature":    repeatRequest(http.StatusBadRequest, "InvalidSignatureException"),
	"response timeout": blackHole,
	"no connection":    noConnection,
	"string":           repeatBody(`BODY`),
	"wrong item":       repeatBody(`{"Item":BODY,"Items":[BODY],"UnprocessedItems":BODY}`),
	"wrong list":       repeatBody(`{"Item":[BODY],"Items":BODY,"UnprocessedItems":[BODY]}`),
	"wrong attribute": repeatBody(`{"Item":{"version":{"N":"1"},"item":{"S":BODY}},"Items":[{"item":{"S":BODY}}],` +
		`"UnprocessedItems":{},"Attributes":BODY}`),
	"wrong capacity": repeatBody(`{"Item":{"item":BODY},"Items":[],"UnprocessedItems":{},"ConsumedCapacity":BODY}`),
}

// repeatRequest answers with headers and body of the request below the first
// line of the error.
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

// repeatBody answers with a body in which BODY stands for the request's and for
// a part of a flag, as a JSON string.
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

// The AWS SDK's errors repeat what of the credentials can't be read, some of it
// as decimal character codes.
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
