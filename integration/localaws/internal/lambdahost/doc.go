// Package lambdahost runs an executable as AWS Lambda runs a function of an
// OS-only runtime: the executable asks the Runtime API for events and answers
// them, and the host starts, freezes out, times and ends its processes.
//
// What is kept as Lambda has it: the Runtime API of version 2018-06-01
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html); one event
// per process at a time, an idle process reused and a further one started for
// a concurrent event; the limits on initialisation, on the function's time
// and on the size of an answer; the errors that Lambda reports in the
// function's place; the platform's lines in the log; and an environment that
// holds nothing of the host's.
//
// What differs: a process is not frozen between events, its memory is not
// limited, an initialisation that fails is not tried a second time, and the
// answer of a successful invocation is dropped, because a rotation has none.
//
// It needs Linux or another Unix. On Linux the processes die with the host,
// however the host dies; elsewhere they die with [Function.Close].
package lambdahost
