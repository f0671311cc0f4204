package awsv2

import (
	"reflect"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go/aws"
	v1 "github.com/aws/aws-sdk-go/service/dynamodb"
)

// convert copies an input of the AWS SDK v1 into that of the AWS SDK v2. Its fields
// have the same names, but some are values, not pointers, or of other types.
func convert(to, from any) { convertValue(reflect.ValueOf(to).Elem(), reflect.ValueOf(from)) }

func convertValue(to, from reflect.Value) {
	switch attribute, isAttribute := from.Interface().(*v1.AttributeValue); {
	case from.IsZero():
	case isAttribute:
		to.Set(reflect.ValueOf(convertAttribute(attribute)))
	case from.Type() == to.Type():
		to.Set(from)
	case to.Kind() == reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		convertValue(to.Elem(), from)
	case from.Kind() == reflect.Pointer:
		convertValue(to, from.Elem())
	case from.Kind() == reflect.Struct:
		for i := range from.NumField() {
			if field := from.Type().Field(i); field.IsExported() {
				convertValue(to.FieldByName(field.Name), from.Field(i))
			}
		}
	case from.Kind() == reflect.Slice:
		to.Set(reflect.MakeSlice(to.Type(), from.Len(), from.Len()))
		for i := range from.Len() {
			convertValue(to.Index(i), from.Index(i))
		}
	case from.Kind() == reflect.Map:
		to.Set(reflect.MakeMapWithSize(to.Type(), from.Len()))
		for entries := from.MapRange(); entries.Next(); {
			element := reflect.New(to.Type().Elem()).Elem()
			convertValue(element, entries.Value())
			to.SetMapIndex(entries.Key(), element)
		}
	default:
		to.Set(from.Convert(to.Type()))
	}
}

func convertAttribute(v *v1.AttributeValue) types.AttributeValue {
	switch {
	case v.S != nil:
		return &types.AttributeValueMemberS{Value: *v.S}
	case v.N != nil:
		return &types.AttributeValueMemberN{Value: *v.N}
	case v.B != nil:
		return &types.AttributeValueMemberB{Value: v.B}
	case v.BOOL != nil:
		return &types.AttributeValueMemberBOOL{Value: *v.BOOL}
	case v.NULL != nil:
		return &types.AttributeValueMemberNULL{Value: *v.NULL}
	case v.SS != nil:
		return &types.AttributeValueMemberSS{Value: aws.StringValueSlice(v.SS)}
	case v.NS != nil:
		return &types.AttributeValueMemberNS{Value: aws.StringValueSlice(v.NS)}
	case v.BS != nil:
		return &types.AttributeValueMemberBS{Value: v.BS}
	case v.L != nil:
		list := new(types.AttributeValueMemberL)
		convert(&list.Value, v.L)
		return list
	}
	m := new(types.AttributeValueMemberM)
	convert(&m.Value, v.M)
	return m
}
