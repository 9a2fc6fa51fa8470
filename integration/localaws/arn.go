package localaws

import "github.com/aws/aws-sdk-go-v2/aws/arn"

// Account is the id of the only account.
const Account = "000000000000"

// FunctionARN returns the ARN of the function name in region, the one to give
// RotateSecret as RotationLambdaARN. It does not ask whether there is one.
func FunctionARN(region, name string) string {
	return arn.ARN{
		Partition: "aws", Service: "lambda", Region: region, AccountID: Account,
		Resource: "function:" + name,
	}.String()
}
