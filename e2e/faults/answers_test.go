package faults_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go/service/dynamodb"
)

// answerError answers every request with an error of DynamoDB's.
func answerError(status int, code string) interceptor {
	return func(r *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
		return errorResponse(r, status, code), nil
	}
}

// answerPage answers every request as a gateway before DynamoDB would.
func answerPage(status int) interceptor {
	return func(r *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
		return response(r, status, "<html><body><h1>"+http.StatusText(status)+"</h1></body></html>"), nil
	}
}

// answerExpired refuses the credentials that are now in the wallet. It has to
// stay when they have been renewed.
func answerExpired(w *wallet) interceptor {
	expired := w.token()
	return func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
		if tokenOf(r) == expired {
			return errorResponse(r, http.StatusBadRequest, "ExpiredTokenException"), nil
		}
		return send()
	}
}

// answerUnprocessed stores nothing of any batch.
func answerUnprocessed(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
	if actionOf(r) != "BatchWriteItem" {
		return send()
	}
	var batch struct{ RequestItems json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		return nil, err
	}
	return response(r, http.StatusOK, `{"UnprocessedItems":`+string(batch.RequestItems)+`}`), nil
}

// answerHalf lets half of the requests fail: they get lost, or their answers,
// or they are refused.
func answerHalf(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
	switch rand.IntN(6) {
	case 0:
		return nil, errors.New("the request got lost")
	case 1:
		answer, err := send()
		if err == nil {
			_ = answer.Body.Close()
		}
		return nil, errors.New("the answer got lost")
	case 2:
		return errorResponse(r, http.StatusInternalServerError, dynamodb.ErrCodeInternalServerError), nil
	default:
		return send()
	}
}

// damage changes the body of every response. With a checksum, it comes with that
// of the undamaged body, as from DynamoDB.
func damage(how func(body []byte) []byte, withChecksum bool) interceptor {
	return func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
		answer, err := send()
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return nil, err
		}
		checksum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)
		damaged := response(r, answer.StatusCode, string(how(body)))
		if withChecksum {
			damaged.Header.Set("X-Amz-Crc32", checksum)
		}
		return damaged, nil
	}
}

func cutInHalf(body []byte) []byte { return body[:len(body)/2] }

func cutAll([]byte) []byte { return nil }

// changeDigits makes other numbers of all numbers, and breaks only a body that
// has none.
func changeDigits(body []byte) []byte {
	changed := bytes.Map(func(r rune) rune {
		if '0' <= r && r <= '8' {
			return r + 1
		}
		return r
	}, body)
	if bytes.Equal(changed, body) {
		return overwriteEnd(body)
	}
	return changed
}

// overwriteEnd leaves zeros in the place of the second half.
func overwriteEnd(body []byte) []byte {
	clear(body[len(body)/2:])
	return body
}

func errorResponse(r *http.Request, status int, code string) *http.Response {
	return response(r, status, `{"__type":"com.amazonaws.dynamodb.v20120810#`+code+`","message":"injected by a test"}`)
}

// response makes a response without a checksum.
func response(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       r,
	}
}
