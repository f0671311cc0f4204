package lddynamodb

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/defaults"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// nowhere is an endpoint at which nothing answers.
const nowhere = "http://127.0.0.1:1"

// assertUsable checks that a store reaches the fixture's table over its
// transport.
func (f *fixture) assertUsable(store ld.FeatureStore) {
	f.tb.Helper()
	before := len(f.transport.recorded())
	_, err := store.Get(ld.Features, "f")
	assert.NoError(f.tb, err)
	assert.Greater(f.tb, len(f.transport.recorded()), before)
}

func TestNothingOfAWSIsMadeBeforeTheFactoryIsCalled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	file := filepath.Join(t.TempDir(), "config")
	newFactory := func() func() (ld.FeatureStore, error) {
		require.NoError(t, os.WriteFile(file, []byte("[default"), 0o600))
		return f.newFactory(
			SessionOptions(session.Options{SharedConfigState: session.SharedConfigEnable, SharedConfigFiles: []string{file}}),
			ClientConfig(aws.NewConfig().WithEndpoint(*f.client.Config.Endpoint).WithHTTPClient(&http.Client{Transport: f.transport})),
		)
	}
	store, err := newFactory()()
	assert.ErrorContains(t, err, f.table)
	var broken session.SharedConfigLoadError
	assert.ErrorAs(t, err, &broken)
	assert.True(t, store == nil, "a plain nil")

	makeStore := newFactory()
	valid := "[default]\nregion = us-east-1\naws_access_key_id = id\naws_secret_access_key = secret\n"
	require.NoError(t, os.WriteFile(file, []byte(valid), 0o600))
	store, err = makeStore()
	require.NoError(t, err)
	assert.Empty(t, f.transport.recorded(), "the table is asked when the store is used")
	f.assertUsable(store)
}

// None of them is closed with another one. An AWS session reads its options to the end,
// so all have the first one's.
func TestAFactoryMakesManyStores(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, option := range map[string]FeatureStoreOption{
		"with a client each": ClientConfig(f.awsConfig(f.transport)),
		"on one client":      DynamoClient(f.newClient(f.transport)),
		"with AWS handlers":  SessionOptions(session.Options{Config: *f.awsConfig(f.transport), Handlers: defaults.Handlers()}),
		"with certificates":  SessionOptions(session.Options{Config: *f.awsConfig(nil), CustomCABundle: bytes.NewReader(bundle)}),
	} {
		for i := range 2 {
			makeStore := f.newFactory(option, CacheTTL(0))
			first, err := makeStore()
			require.NoError(t, err, name)
			second, err := makeStore()
			require.NoError(t, err, name)
			key := fmt.Sprint(name, i)
			require.NoError(t, first.Upsert(ld.Features, flag(key, 1)))
			require.NoError(t, first.(io.Closer).Close())
			assertGet(t, second, ld.Features, key, flag(key, 1))
		}
	}
	_, err := f.newFactory(SessionOptions(session.Options{CustomCABundle: iotest.ErrReader(errors.New("the disk is broken"))}))()
	assert.ErrorContains(t, err, "the disk is broken")
}

func TestClientConfigsAddUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	whole := f.awsConfig(f.transport)
	for name, options := range map[string][]FeatureStoreOption{
		"a part each": {
			ClientConfig(&aws.Config{Endpoint: whole.Endpoint}), ClientConfig(&aws.Config{Region: whole.Region}),
			ClientConfig(&aws.Config{Credentials: whole.Credentials}), ClientConfig(&aws.Config{HTTPClient: whole.HTTPClient}),
		},
		"later ones before earlier ones": {
			ClientConfig(whole), ClientConfig(aws.NewConfig().WithEndpoint(nowhere)), ClientConfig(&aws.Config{Endpoint: whole.Endpoint}),
		},
		"in addition to the session's": {
			ClientConfig(&aws.Config{Endpoint: whole.Endpoint}),
			SessionOptions(session.Options{Config: *whole.Copy(aws.NewConfig().WithEndpoint(nowhere))}),
		},
		"nothing but the session's": {SessionOptions(session.Options{Config: *whole})},
		"a client before all others": {
			SessionOptions(session.Options{ClientTLSCert: strings.NewReader("no certificate")}),
			ClientConfig(aws.NewConfig().WithEndpoint(nowhere)), DynamoClient(f.newClient(f.transport)),
		},
	} {
		store, err := f.newFactory(options...)()
		require.NoError(t, err, name)
		f.assertUsable(store)
	}
}

func TestAConfigThatIsChangedLaterStaysAsItWasGiven(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	config := f.awsConfig(f.transport)
	sessionOptions := session.Options{Config: *f.awsConfig(f.transport)}
	clientConfig, sessionOption := ClientConfig(config), SessionOptions(sessionOptions)
	config.WithEndpoint(nowhere)
	sessionOptions.Config.WithEndpoint(nowhere)

	for _, option := range []FeatureStoreOption{clientConfig, sessionOption} {
		store, err := f.newFactory(option)()
		require.NoError(t, err)
		f.assertUsable(store)
	}
}
