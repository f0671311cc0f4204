package lddynamodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/credentials/processcreds"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
)

// A tableError is a request that failed. Its text says what was being done, on which table, why, and what helps.
type tableError struct {
	target
	table         string
	cause         error         // if the time was up, how the latest request failed before, or that the call was canceled
	after         time.Duration // how long the call took until its time was up; 0: it was not
	ofCredentials bool          // the request got none, or not in time
}

func (e *tableError) Error() string {
	text := fmt.Sprintf("%s on DynamoDB table %q: ", e.target, e.table)
	if remedy := remedy(e); remedy != "" {
		text += remedy + ": "
	}
	if e.after > 0 {
		text += fmt.Sprintf("gave up after %s: ", e.after.Round(100*time.Millisecond))
	}
	return text + describeAWSError(e.cause)
}

func (e *tableError) Unwrap() []error {
	if e.after > 0 {
		return []error{context.DeadlineExceeded, e.cause}
	}
	return []error{e.cause}
}

// refusedCredentials are AWS's names for what is wrong with credentials.
var refusedCredentials = []string{
	"ExpiredTokenException", "ExpiredToken", "RequestExpired",
	"UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch", "InvalidClientTokenId",
}

// neededKeys is the key schema that a table needs.
const neededKeys = `the partition key "` + namespaceAttribute + `" and the sort key "` + keyAttribute + `", both strings`

// remedy says what is wrong and what mends it, for the errors that people meet.
func remedy(err error) string {
	var answer awserr.RequestFailure
	var network net.Error
	code, _ := awsCode(err)
	foreign, cause := foreignAnswer(err), origin(err)
	isOfNetwork := errors.As(cause, &network)
	switch {
	case code == "NoCredentialProviders" || code == "EmptyStaticCreds":
		return "no AWS credentials were found; set them in the environment, in ~/.aws/credentials or with SessionOptions, " +
			"or give the process a role; what is in ~/.aws/config counts only with AWS_SDK_LOAD_CONFIG=1"
	case code == "MissingRegion":
		return "no AWS region is set; set AWS_REGION, or the region in SessionOptions or ClientConfig"
	case isCredentialsError(err):
		return "the AWS credentials could not be obtained; check their provider, such as the host's metadata service"
	case code == dynamodb.ErrCodeResourceNotFoundException:
		return "there is no such table; create it with " + neededKeys + ", or check the table's name, the region and the account"
	case code == "ValidationException" && !isInvalidItem(err):
		return "the table seems to have another key schema; it needs " + neededKeys
	case isDenial(err):
		return "the credentials do not allow this action on this table; add it to their IAM policy"
	case slices.Contains(refusedCredentials, code):
		return "AWS does not accept the credentials; renew them if they have expired, or check the key, its secret and this " +
			"machine's clock"
	case isThrottle(err):
		return "DynamoDB is throttling; if the capacity is provisioned, give the table more capacity; if it is on-demand, " +
			"one partition is at its limit: set a longer CacheTTL, or use eventually consistent reads or daemon mode"
	case foreign != "":
		return "something other than DynamoDB answered, " + foreign + "; check the endpoint and proxies"
	case errors.As(err, &answer) && answer.StatusCode() >= http.StatusInternalServerError:
		return "DynamoDB failed internally; if this lasts, look at the AWS health dashboard"
	case (isOfNetwork && !network.Timeout()) || errors.Is(cause, io.ErrUnexpectedEOF) || code == "CRC32CheckFailed":
		return "the connection failed; check the endpoint, the region, the network, proxies and AWS_CA_BUNDLE"
	case isOfNetwork || errors.Is(err, context.DeadlineExceeded):
		return "there was no answer in time; check the network and the endpoint, or raise RequestTimeout"
	}
	return ""
}

// foreignAnswer returns what a proxy, a portal or another server has answered in DynamoDB's place, or "".
func foreignAnswer(err error) string {
	var answer awserr.RequestFailure
	if errors.As(err, &answer) && !isNamed(answer) {
		status := answer.StatusCode()
		if answer.RequestID() == "" || status/100 == 3 || status/100 == 4 {
			return fmt.Sprintf("HTTP %d", status)
		}
	}
	return ""
}

// isUnconnected reports whether a request found no connection.
func isUnconnected(err error) bool {
	var network *net.OpError
	return errors.As(origin(err), &network) && (network.Op == "dial" || network.Op == "proxyconnect")
}

// origin returns what the AWS SDK's error was made of. Those errors have no Unwrap.
func origin(err error) error {
	var failure awserr.Error
	for errors.As(err, &failure) && failure.OrigErr() != nil {
		err = failure.OrigErr()
	}
	return err
}

// errUnprocessed is what throttling looks like in a successful response.
var errUnprocessed = awserr.New(dynamodb.ErrCodeProvisionedThroughputExceededException,
	"items of a batch came back as unprocessed", nil)

func awsCode(err error) (code, message string) {
	if err != nil {
		var failure awserr.Error
		if errors.As(err, &failure) {
			return failure.Code(), failure.Message()
		}
	}
	return "", ""
}

// concernsTable reports whether an error means that the table can't be used at all: no answer, no valid credentials, no
// such table, and so on. Any other error has a name of DynamoDB's, and concerns an action on a partition: throttled,
// denied, invalid. A request that ran out of time counts as its last failure, if it had one.
func concernsTable(err error) bool {
	var failure awserr.Error
	if isCredentialsError(err) || !errors.As(err, &failure) {
		return true
	}
	code := failure.Code()
	return !isThrottle(err) && (!isNamed(failure) ||
		code == dynamodb.ErrCodeResourceNotFoundException || slices.Contains(refusedCredentials, code))
}

// isNamed reports whether DynamoDB gives the error a name, other than that it has failed.
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

// keySchemaFault is in DynamoDB's message if a request doesn't fit the table's key schema.
var keySchemaFault = regexp.MustCompile(`(?i)\b(keys?|schema|index)\b`)

// isInvalidItem reports whether DynamoDB refuses a write because of what is written.
func isInvalidItem(err error) bool {
	code, message := awsCode(err)
	return code == "ValidationException" && !keySchemaFault.MatchString(message)
}

// isCredentialsError reports whether a request got no credentials, or not in time.
func isCredentialsError(err error) bool {
	var failure *tableError
	return errors.As(err, &failure) && failure.ofCredentials
}

// describeAWSError is the AWS SDK's text on one line, without the parts that may hold credentials or flags.
func describeAWSError(err error) string {
	var coded interface{ Code() string }
	var failure awserr.Error
	var answer awserr.RequestFailure
	switch {
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
	if cause := failure.OrigErr(); cause != nil && failure.Code() != request.ErrCodeSerialization {
		text += ": " + describeAWSError(cause) // the cause of a serialization error may repeat the response
	}
	return text
}
