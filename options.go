package lddynamodb

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// DefaultCacheTTL is the cache TTL without the CacheTTL option.
const DefaultCacheTTL = 15 * time.Second

// DefaultRequestTimeout is the time limit of a DynamoDB call without the RequestTimeout option.
const DefaultRequestTimeout = 5 * time.Second

// maxCacheTTL is as good as for ever, and can be added to the time.
const maxCacheTTL = 100 * 365 * 24 * time.Hour

// maxPrefixBytes leaves room for what follows the prefix in the sort key of the row of initedKey.
const maxPrefixBytes = maxSortKeyBytes - len(":"+initedKey)

// FeatureStoreOption is an optional setting of a feature store, made by a function of this package. If one is given
// more than once, the last counts, except for ClientConfig. A value that makes no sense is an error of the constructor.
type FeatureStoreOption interface {
	apply(*options) error
}

type options struct {
	tableName      string
	prefix         string
	cacheTTL       time.Duration
	staleValues    StaleValuesPolicy
	requestTimeout time.Duration
	eventualReads  bool
	client         dynamodbiface.DynamoDBAPI
	newSession     func() (*session.Session, error)
	statusListener func(StoreStatus)
	clientConfigs  []*aws.Config
	logger         ld.Logger
	reportsUnsaved bool // an Init or update that is kept as unsaved is an error
}

type option func(*options) error

func (o option) apply(opts *options) error { return o(opts) }

// setting makes an option with a value that makes sense.
func setting(change func(*options)) FeatureStoreOption {
	return option(func(o *options) error {
		change(o)
		return nil
	})
}

// refused makes an option with a value that makes no sense.
func refused(format string, args ...any) FeatureStoreOption {
	return option(func(*options) error { return fmt.Errorf(format, args...) })
}

// newOptions checks the arguments of the constructors.
func newOptions(table string, given []FeatureStoreOption) (*options, error) {
	if table == "" {
		return nil, errors.New("lddynamodb: the table name is empty")
	}
	opts := &options{
		tableName:      table,
		cacheTTL:       DefaultCacheTTL,
		requestTimeout: DefaultRequestTimeout,
		staleValues:    RefreshStaleValues,
		newSession:     sessionMaker(session.Options{}),
	}
	for i, o := range given {
		if o == nil {
			return nil, fmt.Errorf("lddynamodb: option %d of %d is nil", i+1, len(given))
		}
		if err := o.apply(opts); err != nil {
			return nil, fmt.Errorf("lddynamodb: %w", err)
		}
	}
	return opts, nil
}

// CacheTTL sets how long an item that was read or updated is served from memory without being read again. The default
// is DefaultCacheTTL. An item expires at a random moment, the first time in the second half of the TTL and later in its
// last tenth, so that processes that start together don't go on reading together. The time that a machine is suspended
// counts.
//
// With zero, there is no cache: each flag evaluation asks DynamoDB. With a negative TTL, everything is kept for as long
// as the process runs. Such a process never sees what others write while it can't reach LaunchDarkly.
func CacheTTL(ttl time.Duration) FeatureStoreOption {
	return setting(func(o *options) { o.cacheTTL = min(ttl, maxCacheTTL) })
}

// StaleValuesPolicy says what happens to a cached value whose TTL, if that is positive, has run out.
type StaleValuesPolicy int

const (
	// EvictStaleValues drops the value: the next read waits for the table, and fails if that fails.
	EvictStaleValues StaleValuesPolicy = iota
	// RefreshStaleValues makes the next read wait for the table, but not long: 250 ms for an item, and a second for the
	// next page of all items. Then the last known value is served, and the read goes on in the background. While the
	// table is slow or can't be used, nobody waits for a known value. This is the default.
	RefreshStaleValues
	// RefreshStaleValuesAsync serves the last known value at once and reads the new one in the background, so no
	// evaluation of a known flag ever waits for DynamoDB. It can return a value that is far older than the TTL.
	RefreshStaleValuesAsync
)

// StaleValues sets what happens to a cached value whose TTL has run out. With the default, RefreshStaleValues, known
// flags can be evaluated for as long as an outage of DynamoDB lasts. An unknown policy is an error of the constructor.
func StaleValues(policy StaleValuesPolicy) FeatureStoreOption {
	if policy < EvictStaleValues || policy > RefreshStaleValuesAsync {
		return refused("there is no StaleValuesPolicy %d", policy)
	}
	return setting(func(o *options) { o.staleValues = policy })
}

// RequestTimeout sets the time limit of each DynamoDB call, including the AWS SDK's retries, the waits between them,
// and the time that it takes to get credentials. The default is DefaultRequestTimeout. Zero means no limit: a request
// that is never answered then holds up what waits for it. A negative timeout is an error of the constructor.
func RequestTimeout(timeout time.Duration) FeatureStoreOption {
	if timeout < 0 {
		return refused("the request timeout %s is negative", timeout)
	}
	return setting(func(o *options) { o.requestTimeout = timeout })
}

// ConsistentReads chooses between strongly consistent reads, the default, and eventually consistent ones at half the
// price, which can miss what another process wrote within the last second or so. It applies to the reads that answer
// flag evaluations, not to those that decide about a write. What is older than what is known is read again consistently.
func ConsistentReads(consistent bool) FeatureStoreOption {
	return setting(func(o *options) { o.eventualReads = !consistent })
}

// Prefix keeps the data of several LaunchDarkly environments apart in one table: partition keys begin with the prefix
// and a colon. The default, an empty prefix, adds nothing. One of more than 1,016 bytes or of invalid UTF-8 is an error.
func Prefix(prefix string) FeatureStoreOption {
	if len(prefix) > maxPrefixBytes {
		return refused("the prefix has %d bytes, over the limit of %d", len(prefix), maxPrefixBytes)
	}
	if !utf8.ValidString(prefix) {
		return refused("the prefix isn't valid UTF-8")
	}
	return setting(func(o *options) { o.prefix = prefix })
}

// A StoreStatus is the state of a store and its table. See StatusListener.
type StoreStatus struct {
	// Available is false during an outage: while requests fail, or items wait to be written because they failed.
	Available bool
	// Err is the outage's error. Its text says what failed and what to do about it. It is nil if Available is true.
	Err error
	// Unsaved is how many items this process alone has: those that wait to be written, or that DynamoDB can't hold.
	Unsaved int
}

// StatusListener sets a function that is told the state of the store and its table, for health checks and metrics. It
// is called when Available, the remedy in the text of Err or Unsaved changes, at most ten times a second.
// Before the first call the store is available and nothing is unsaved.
//
// The calls come one at a time from a goroutine of their own. The listener may take its time, and is then told only the
// latest status. It may close the store, and Close doesn't wait for it. By default there is none; nil is an error.
func StatusListener(listener func(StoreStatus)) FeatureStoreOption {
	if listener == nil {
		return refused("the status listener is nil")
	}
	return setting(func(o *options) { o.statusListener = listener })
}

// DynamoClient makes the store use a DynamoDB client that exists already, for instance a DAX client. SessionOptions and
// ClientConfig are then ignored. The store calls four methods: GetItemWithContext, QueryWithContext, PutItemWithContext
// and BatchWriteItemWithContext. A wrapper that overrides the forms without a context sees no calls. Nil is an error.
func DynamoClient(client dynamodbiface.DynamoDBAPI) FeatureStoreOption {
	// The AWS SDK's own is a pointer, so that nil has a second form.
	if client == nil || client == (*dynamodb.DynamoDB)(nil) {
		return refused("the DynamoDB client is nil")
	}
	return setting(func(o *options) { o.client = client })
}

// SessionOptions sets the options of the AWS session that the stores of a factory share, such as the region or a
// profile. By default, the session is what session.NewSession makes of the environment and of configuration files.
func SessionOptions(sessionOptions session.Options) FeatureStoreOption {
	sessionOptions.Handlers = sessionOptions.Handlers.Copy() // the session adds to them
	newSession := sessionMaker(sessionOptions)
	return setting(func(o *options) { o.newSession = newSession })
}

// sessionMaker returns a function that makes a session once, because that reads the readers in its options to their end.
func sessionMaker(options session.Options) func() (*session.Session, error) {
	return sync.OnceValues(func() (*session.Session, error) { return session.NewSessionWithOptions(options) })
}

// ClientConfig adds to the AWS configuration of the DynamoDB client that the store makes, for instance an endpoint or a
// retry behavior. If it is given more than once, each adds to those before it, and to the session's.
func ClientConfig(config *aws.Config) FeatureStoreOption {
	config = config.Copy() // the caller may change it; of nil the copy is empty
	return setting(func(o *options) { o.clientConfigs = append(o.clientConfigs, config) })
}

// Logger sets where the store logs to. With NewDynamoDBFeatureStoreFactory, the default is the SDK's logging
// configuration, so it is rarely needed. With NewDynamoDBFeatureStore, the default is the standard error output.
func Logger(logger ld.Logger) FeatureStoreOption {
	return setting(func(o *options) { o.logger = logger })
}
