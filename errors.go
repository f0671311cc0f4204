package lddynamodb

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
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

// refusedCredentials are AWS's names for what is wrong with credentials.
var refusedCredentials = []string{
	"ExpiredTokenException", "ExpiredToken", "RequestExpired",
	"UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch", "InvalidClientTokenId",
}

// remedy says in a sentence what is wrong and what mends it, for the errors
// that people meet.
func remedy(err error) string {
	code, message := awsCode(err)
	switch code {
	case "NoCredentialProviders", "EmptyStaticCreds":
		return "no AWS credentials were found; set them in the environment, in ~/.aws/credentials or with SessionOptions, " +
			"or give the process a role; what is in ~/.aws/config counts only with AWS_SDK_LOAD_CONFIG=1"
	case "MissingRegion":
		return "no AWS region is set; set AWS_REGION, or the region in SessionOptions or ClientConfig"
	}
	if isCredentialsError(err) {
		return "the AWS credentials could not be obtained; check the provider that they come from, such as the host's " +
			"metadata service"
	}
	switch code {
	case dynamodb.ErrCodeResourceNotFoundException:
		return fmt.Sprintf("there is no such table; create it with the partition key %q and the sort key %q, both strings, "+
			"or check the table's name, the region and the account", namespaceAttribute, keyAttribute)
	case "ValidationException":
		if keySchemaFault.MatchString(message) {
			return fmt.Sprintf("the table seems to have another key schema; it needs the partition key %q and the sort key %q, "+
				"both strings", namespaceAttribute, keyAttribute)
		}
	case "AccessDeniedException":
		return "the credentials do not allow this action on this table; add it to their IAM policy"
	case "ExpiredTokenException", "ExpiredToken", "RequestExpired":
		return "the AWS credentials have expired; renew them, or use a provider that does"
	case "UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch", "InvalidClientTokenId":
		return "AWS does not accept the credentials; check the key, its secret, and this machine's clock"
	}
	if isThrottle(err) {
		return "DynamoDB is throttling; if the capacity is provisioned, give the table more capacity; if it is on-demand, " +
			"one partition is at its limit: set a longer CacheTTL, or use eventually consistent reads or daemon mode"
	}
	return connectionRemedy(err)
}

// wrongChecksum is the AWS SDK's code for a response that was damaged on its way.
const wrongChecksum = "CRC32CheckFailed"

// connectionRemedy does the same if no answer came from DynamoDB, or nothing but
// that it has failed.
func connectionRemedy(err error) string {
	var answer awserr.RequestFailure
	var timeout *timeoutError
	var unknownHost *net.DNSError
	var network *net.OpError
	err = chain{err}
	foreign := foreignAnswer(err)
	isServerFailure := errors.As(err, &answer) && answer.StatusCode() >= http.StatusInternalServerError
	if isServerFailure && answer.RequestID() == "" {
		foreign = fmt.Sprintf("HTTP %d", answer.StatusCode())
	}
	isOfNetwork := errors.As(err, &network)
	code, _ := awsCode(err)
	switch {
	case foreign != "":
		return "something other than DynamoDB answered, " + foreign + "; check the endpoint and proxies"
	case isServerFailure:
		return "DynamoDB failed internally; if this lasts, look at the AWS health dashboard"
	case isOfNetwork && network.Op == "proxyconnect":
		return "the proxy can't be reached; check HTTPS_PROXY and HTTP_PROXY, or the proxy of the HTTP client"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at the endpoint; check the endpoint and the port"
	case errors.As(err, &unknownHost):
		return "the endpoint's host name can't be resolved; check the endpoint, the region and the DNS"
	case isTLSFailure(err):
		return "the TLS connection failed; check the endpoint's certificate, a proxy in between, and AWS_CA_BUNDLE"
	case (isOfNetwork && !network.Timeout()) || errors.Is(err, io.ErrUnexpectedEOF) || code == wrongChecksum:
		return "the connection broke; check the network"
	case errors.As(err, &timeout) && timeout.ofRequestTimeout:
		return "there was no answer in time; check the network and the endpoint, or raise RequestTimeout"
	case isOfNetwork || errors.Is(err, context.DeadlineExceeded):
		return "there was no answer in time; check the network and the endpoint"
	}
	return ""
}

// foreignAnswer returns what something other than DynamoDB has answered, or "" if
// nothing has: a proxy, a portal, or what listens at a wrong endpoint.
func foreignAnswer(err error) string {
	var answer awserr.RequestFailure
	var failed *url.Error
	err = chain{err}
	switch {
	case errors.As(err, &answer):
		status := answer.StatusCode()
		isClientError := status >= http.StatusMultipleChoices && status < http.StatusInternalServerError
		if !isNamed(answer) && (answer.RequestID() == "" || isClientError) {
			return fmt.Sprintf("HTTP %d", status)
		}
	case errors.Is(err, http.ErrSchemeMismatch):
		return "HTTP without TLS"
	case errors.As(err, &failed):
		// This is all that net/http tells of a proxy that refuses a connection.
		for status := http.StatusMultipleChoices; status < 600; status++ {
			if text := http.StatusText(status); text != "" && failed.Err.Error() == text {
				return fmt.Sprintf("HTTP %d", status)
			}
		}
	}
	return ""
}

// isUnconnected reports whether a request found no connection.
func isUnconnected(err error) bool {
	var network *net.OpError
	err = chain{err}
	return isTLSFailure(err) || (errors.As(err, &network) && (network.Op == "dial" || network.Op == "proxyconnect"))
}

func isTLSFailure(err error) bool {
	var certificate *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &certificate) || errors.As(err, &noTLS) || errors.As(err, &alert)
}

// A chain has errors.Is and errors.As look into what the AWS SDK's errors wrap in a
// way of their own.
type chain struct{ error }

func (c chain) Is(target error) bool { return errors.Is(c.error, target) }

func (c chain) As(target interface{}) bool { return errors.As(c.error, target) }

func (c chain) Unwrap() error {
	var failure awserr.Error
	if errors.As(c.error, &failure) && failure.OrigErr() != nil {
		return chain{failure.OrigErr()}
	}
	return nil
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

// concernsTable reports whether an error means that the table can't be used at all:
// there was no answer, no connection, no valid credentials or no such table, DynamoDB
// has failed, or something else answered. Any other error has a name of DynamoDB's,
// and concerns an action on a partition: throttled, denied, invalid, and so on. A
// request that ran out of time counts as its last failure, if it had one.
func concernsTable(err error) bool {
	var failure awserr.Error
	switch {
	case err == nil:
		return false
	case isCredentialsError(err) || !errors.As(err, &failure):
		return true
	case isThrottle(err):
		return false
	case failure.Code() == dynamodb.ErrCodeResourceNotFoundException || slices.Contains(refusedCredentials, failure.Code()):
		return true
	}
	return !isNamed(failure)
}

// isNamed reports whether an error is one that DynamoDB gives a name, and not that
// it has failed.
func isNamed(failure awserr.Error) bool {
	var answer awserr.RequestFailure
	switch failure.Code() {
	case "", "UnknownError", "UnknownOperationException", request.ErrCodeSerialization:
		return false
	}
	if errors.As(failure, &answer) && answer.StatusCode() >= http.StatusBadRequest {
		return answer.StatusCode() < http.StatusInternalServerError
	}
	return strings.HasSuffix(failure.Code(), "Exception") // of a client that tells no status
}

// isThrottle reports whether DynamoDB has throttled a request.
func isThrottle(err error) bool {
	var failure awserr.Error
	return errors.As(err, &failure) && request.IsErrorThrottle(failure)
}

// isDenial reports whether the credentials don't allow a request.
func isDenial(err error) bool {
	code, _ := awsCode(err)
	return code == "AccessDeniedException"
}

// isInvalidItem reports whether DynamoDB refuses a write because of what is written.
func isInvalidItem(err error) bool {
	code, message := awsCode(err)
	return code == "ValidationException" && !keySchemaFault.MatchString(message)
}

// A credentialsError is a request that got no credentials, or not in time.
type credentialsError struct{ error }

func (e *credentialsError) Unwrap() error { return e.error }

func isCredentialsError(err error) bool {
	var failure *credentialsError
	return errors.As(err, &failure)
}

// A timeoutError is a call whose time was up. Its cause is how the latest request
// failed before, or that the call was canceled.
type timeoutError struct {
	after            time.Duration
	ofRequestTimeout bool // and not of its caller's own
	cause            error
}

func (e *timeoutError) Error() string {
	return fmt.Sprintf("gave up after %s: %s", e.after.Round(100*time.Millisecond), describeAWSError(e.cause))
}

func (e *timeoutError) Unwrap() []error { return []error{context.DeadlineExceeded, e.cause} }

// describeAWSError is the AWS SDK's text on one line, without the parts that may
// hold credentials or flags.
func describeAWSError(err error) string {
	var timeout *timeoutError
	var coded interface{ Code() string }
	var failure awserr.Error
	var answer awserr.RequestFailure
	switch {
	case errors.As(err, &timeout):
		return timeout.Error()
	case !errors.As(err, &coded):
		return err.Error()
	case !errors.As(err, &failure) || failure.Code() == processcreds.ErrCodeProcessProviderParse:
		return coded.Code() // the text repeats the file or output that can't be parsed
	}
	message, _, _ := strings.Cut(failure.Message(), "\n") // other lines may repeat the request's headers
	text := failure.Code() + ": " + message
	if errors.As(err, &answer) {
		text += fmt.Sprintf(" (status %d, request %s)", answer.StatusCode(), cmp.Or(answer.RequestID(), "without an ID"))
	}
	cause := failure.OrigErr()
	if cause == nil || failure.Code() == request.ErrCodeSerialization {
		return text // the cause may repeat the response
	}
	return text + ": " + describeAWSError(cause)
}
