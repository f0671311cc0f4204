package lddynamodb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/credentials/processcreds"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
)

// A tableError is a request to DynamoDB that failed. Its text says what was
// being done, on which table, why it failed, and what to do about it.
type tableError struct {
	target
	table string
	cause error
}

func (e *tableError) Error() string {
	text := fmt.Sprintf("%s on DynamoDB table %q: ", e.target, e.table)
	if remedy := remedy(e.cause); remedy != "" {
		text += remedy + ": "
	}
	return text + describeAWSError(e.cause)
}

func (e *tableError) Unwrap() error { return e.cause }

// remedy says in a sentence what is wrong and what mends it, for the errors
// that people meet.
func remedy(err error) string {
	code, message := awsCode(err)
	switch code {
	case dynamodb.ErrCodeResourceNotFoundException:
		return fmt.Sprintf("there is no such table; create it with the partition key %q and the sort key %q, both strings, "+
			"or check the table's name, the region and the account", namespaceAttribute, keyAttribute)
	case "ValidationException":
		if keySchemaFault.MatchString(message) {
			return fmt.Sprintf("the table seems to have another key schema; it needs the partition key %q and the sort key %q, "+
				"both strings", namespaceAttribute, keyAttribute)
		}
	case "NoCredentialProviders", "EmptyStaticCreds":
		return "no AWS credentials were found; set them in the environment, in a configuration file or with SessionOptions, " +
			"or give the process a role"
	case "MissingRegion":
		return "no AWS region is set; set AWS_REGION, or the region in SessionOptions or ClientConfig"
	case "AccessDeniedException":
		return "the credentials do not allow this action on this table; add it to their IAM policy"
	case "ExpiredTokenException", "ExpiredToken", "RequestExpired":
		return "the AWS credentials have expired; renew them, or use a provider that does"
	case "UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch", "InvalidClientTokenId":
		return "AWS does not accept the credentials; check the key, its secret, and this machine's clock"
	}
	if isThrottle(err) {
		return "DynamoDB is throttling; give the table more capacity"
	}
	if isServerFailure(err) {
		return "DynamoDB failed internally; if this lasts, look at the AWS health dashboard"
	}
	return networkRemedy(err)
}

// networkRemedy does the same if no answer came from DynamoDB.
func networkRemedy(err error) string {
	var unknownHost *net.DNSError
	var network *net.OpError
	switch {
	case wraps(err, func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }):
		return "nothing listens at the endpoint; check the endpoint and the port"
	case wraps(err, func(err error) bool { return errors.As(err, &unknownHost) }):
		return "the endpoint's host name can't be resolved; check the endpoint, the region and the DNS"
	case wraps(err, isTLSFailure):
		return "the TLS connection failed; check the endpoint's certificate, a proxy in between, and AWS_CA_BUNDLE"
	case errors.Is(err, context.DeadlineExceeded):
		return "there was no answer in time; check the network and the endpoint, or raise RequestTimeout"
	case wraps(err, func(err error) bool { return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) }):
		return "the connection broke; check the network"
	}
	return ""
}

func isTLSFailure(err error) bool {
	var certificate *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &certificate) || errors.As(err, &noTLS) || errors.As(err, &alert)
}

// wraps tells whether a test is true of an error or of one that it wraps, in the
// AWS SDK's way, which the standard library doesn't know, or in Go's.
func wraps(err error, is func(error) bool) bool {
	for err != nil {
		var failure awserr.Error
		if is(err) {
			return true
		}
		if !errors.As(err, &failure) {
			return false
		}
		err = failure.OrigErr()
	}
	return false
}

// keySchemaFault tells what DynamoDB says of requests that don't fit the table's
// key schema from what else it finds invalid.
var keySchemaFault = regexp.MustCompile(`(?i)\b(keys?|schema|index)\b`)

// errAllUnprocessed is what throttling looks like in a successful response.
var errAllUnprocessed = awserr.New(dynamodb.ErrCodeProvisionedThroughputExceededException,
	"all items of a batch came back as unprocessed", nil)

func awsCode(err error) (code, message string) {
	var failure awserr.Error
	if errors.As(err, &failure) {
		return failure.Code(), failure.Message()
	}
	return "", ""
}

func isThrottle(err error) bool {
	var failure awserr.Error
	return errors.As(err, &failure) && request.IsErrorThrottle(failure)
}

func isDenial(err error) bool {
	code, _ := awsCode(err)
	return code == "AccessDeniedException"
}

// isWriteConflict tells of a write that meets one in another Region, in a global
// table with strong consistency.
func isWriteConflict(err error) bool {
	code, _ := awsCode(err)
	return code == "ReplicatedWriteConflictException"
}

// isInvalidItem tells of a write that DynamoDB refuses because of what is written.
func isInvalidItem(err error) bool {
	code, message := awsCode(err)
	return code == "ValidationException" && !keySchemaFault.MatchString(message)
}

func isServerFailure(err error) bool {
	var response awserr.RequestFailure
	return errors.As(err, &response) && response.StatusCode() >= http.StatusInternalServerError
}

// isUnreachable tells of an attempt that DynamoDB did not answer, or not with
// more than that it has failed.
func isUnreachable(err error) bool {
	code, _ := awsCode(err)
	return !isThrottle(err) && (isServerFailure(err) || code == request.ErrCodeRequestError)
}

// describeAWSError is the AWS SDK's text on one line, without the parts that may
// hold credentials or flags.
func describeAWSError(err error) string {
	var timeout *timeoutError
	var coded interface{ Code() string }
	var failure awserr.Error
	switch {
	case errors.As(err, &timeout):
		return timeout.Error()
	case errors.As(err, &coded) && repeatsCredentials(coded.Code()):
		return coded.Code()
	case !errors.As(err, &failure):
		return err.Error()
	}
	// Below the first line some messages repeat the request's headers, the
	// session token among them.
	message, _, _ := strings.Cut(failure.Message(), "\n")
	text := failure.Code() + ": " + message
	var response awserr.RequestFailure
	if errors.As(err, &response) && response.RequestID() != "" {
		text += fmt.Sprintf(" (status %d, request %s)", response.StatusCode(), response.RequestID())
	}
	cause := failure.OrigErr()
	if cause == nil || failure.Code() == request.ErrCodeSerialization {
		return text // the cause may repeat the response
	}
	return text + ": " + describeAWSError(cause)
}

// repeatsCredentials tells of the AWS SDK's errors about a configuration file or
// a credential process that it can't understand: they repeat what it has read.
func repeatsCredentials(code string) bool {
	return code == "INIParseError" || code == processcreds.ErrCodeProcessProviderParse
}

// A timeoutError is a call whose time was up.
type timeoutError struct {
	after time.Duration
	cause error
}

func (e *timeoutError) Error() string {
	return fmt.Sprintf("gave up after %s", e.after.Round(100*time.Millisecond))
}

func (e *timeoutError) Unwrap() []error { return []error{context.DeadlineExceeded, e.cause} }

// An untriedError is a request that was not made, or was given up, because of
// an outage.
type untriedError struct {
	target
	cause error
}

func (e *untriedError) Error() string {
	return fmt.Sprintf("%s was not tried during an outage: %s", e.target, e.cause)
}

func (e *untriedError) Unwrap() error { return e.cause }

// An unsavedError is a write that the table has refused for now.
type unsavedError struct {
	what  string
	cause error
}

func (e *unsavedError) Error() string {
	return fmt.Sprintf("%s: will be written when the table can be used again: %s", e.what, e.cause)
}

func (e *unsavedError) Unwrap() error { return e.cause }

// A malformedRowError is a row that holds no valid item. It stays inside the
// package: to the SDK an error is an outage, and no retry would mend this one.
type malformedRowError struct {
	rowKey
	version string
	fault   string
}

func (e *malformedRowError) Error() string {
	return fmt.Sprintf("the row %s is malformed: %s", e.rowKey, e.fault)
}

func asMalformed(err error) (*malformedRowError, bool) {
	var malformed *malformedRowError
	return malformed, errors.As(err, &malformed)
}

// hasVersion tells whether the row says that it has just this version.
func (e *malformedRowError) hasVersion(version int) bool { return e.version == strconv.Itoa(version) }

// An unstorableError is an item that DynamoDB can't hold. It stays inside the
// package too.
type unstorableError struct {
	rowKey
	reason string
}

func (e *unstorableError) Error() string {
	return fmt.Sprintf("%s can't be stored: %s", e.rowKey, e.reason)
}

func concernsTable(err error) bool {
	code, _ := awsCode(err)
	switch code {
	case "ResourceNotFoundException", "ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException":
		return true
	}
	if _, ok := asMalformed(err); ok {
		return false
	}
	return err != nil && !isThrottle(err) && !isDenial(err) && !isWriteConflict(err) && code != "ValidationException"
}
