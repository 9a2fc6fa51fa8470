// Package localaws is an embedded AWS Secrets Manager. It speaks the AWS JSON
// 1.1 protocol over HTTP, verifies Signature Version 4, and rotates secrets by
// invoking functions, so that the AWS SDKs, boto3 and the AWS CLI talk to it
// unchanged: set their endpoint to [Server.Endpoint] and their credentials to
// [AccessKey] and [SecretKey].
//
// Every Region is a namespace of its own; the Region of a request is the one in
// its signature's credential scope. The account is [Account].
//
// # What it keeps to
//
// Operations, label rules, tokens, messages and limits follow the API reference
// (https://docs.aws.amazon.com/secretsmanager/latest/apireference/Welcome.html).
// Rotation is asynchronous: RotateSecret answers at once, and the four steps
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html)
// follow as synchronous invocations. A rotation that fails is tried again as a
// whole, with the same token.
//
// Where AWS documents nothing, this package decides, and a later version may
// decide differently:
//
//   - A rotation is tried [Config.Attempts] times. RotationFailed is recorded
//     once, after the last. RotateSecret with the same token then tries again.
//   - RotateSecret with the token of the last finished rotation answers as the
//     first time and does nothing.
//   - A try ends the rotation at once when AWSPENDING is no longer on its
//     version: nothing would be left to try.
//   - DeleteSecret ends a rotation after the step that runs; RestoreSecret begins
//     it again, with the same token.
//   - RotateImmediately=false tests once, under the request's own token, and
//     keeps the new configuration even when the test fails.
//
// # What it does not do
//
// Schedules are validated and NextRotationDate is computed, but nothing fires
// when that date comes. There are no customer managed KMS keys, no policies (a
// function's role may do what the administrator may), no replicas and no
// managed external secrets: a request for one of them is refused with a
// message that says so.
//
// # Values at rest
//
// A root key wraps one key per Region, which wraps a data key per version,
// which seals the value; the secret's ARN and the version's id are bound to
// both. Names, descriptions, tags, labels and dates are not sealed.
package localaws
