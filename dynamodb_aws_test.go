package lddynamodb

import (
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
	"golang.org/x/sync/errgroup"
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

func TestAFactoryMakesManyStores(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, option := range map[string]FeatureStoreOption{
		"with a client each": ClientConfig(f.awsConfig(f.transport)),
		"on one client":      DynamoClient(f.newClient(f.transport)),
		"with AWS handlers":  SessionOptions(session.Options{Config: *f.awsConfig(f.transport), Handlers: defaults.Handlers()}),
	} {
		t.Run(name, func(t *testing.T) {
			makeStore := f.newFactory(option, CacheTTL(0))
			stores := make([]ld.FeatureStore, 8)
			var group errgroup.Group
			for i := range stores {
				group.Go(func() (err error) {
					if stores[i], err = makeStore(); err != nil {
						return err
					}
					return stores[i].Upsert(ld.Features, flag(fmt.Sprint(name, i), 1))
				})
			}
			require.NoError(t, group.Wait())

			for i, store := range stores {
				require.NoError(t, store.(io.Closer).Close())
				for _, other := range stores[i+1:] {
					assertGet(t, other, ld.Features, fmt.Sprint(name, i), flag(fmt.Sprint(name, i), 1))
				}
			}
		})
	}
}

// An AWS session reads what these options have to the end.
func TestEveryStoreGetsTheSessionsCertificates(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	option := SessionOptions(session.Options{
		Config:         *f.awsConfig(nil),
		CustomCABundle: strings.NewReader(string(bundle)),
	})
	for range 2 {
		makeStore := f.newFactory(option)
		for range 2 {
			_, err := makeStore()
			assert.NoError(t, err)
		}
	}

	unreadable := SessionOptions(session.Options{CustomCABundle: iotest.ErrReader(errors.New("the disk is broken"))})
	_, err := f.newFactory(unreadable)()
	assert.ErrorContains(t, err, "LoadCustomCABundleError")
	assert.ErrorContains(t, err, "the disk is broken")
	_, err = f.newFactory(unreadable, DynamoClient(f.client))()
	assert.NoError(t, err, "with a client it plays no part")
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
