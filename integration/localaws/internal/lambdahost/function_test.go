package lambdahost_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/lambdahost"
)

// TestMain runs the tests, or what one of their processes is to be.
func TestMain(m *testing.M) {
	switch os.Getenv("FUNCTION") {
	case "":
		os.Exit(m.Run())
	case "crash in init":
		fmt.Println("about to crash")
		os.Exit(3)
	case "never ready":
		select {}
	case "slow to start":
		time.Sleep(300 * time.Millisecond)
		lambda.Start(handle)
	case "reports its init error":
		post("/runtime/init/error", `{"errorType":"Config.Missing","errorMessage":"set STRATEGY"}`)
		os.Exit(1)
	case "raw":
		speakRaw()
	case "host":
		beHost()
	default:
		lambda.Start(handle)
	}
}

// request is an event of these tests.
type request struct {
	Do string `json:"do"`
}

// oddError has a type whose name a test looks for.
type oddError struct{}

func (*oddError) Error() string { return "the database said no" }

// handle is the function of these tests: it does what the event says, and
// tells it on its standard output.
func handle(ctx context.Context, r request) (any, error) {
	fmt.Println("pid", os.Getpid())
	switch r.Do {
	case "answer":
		return "done", nil
	case "fail":
		return nil, &oddError{}
	case "panic":
		panic("out of cheese")
	case "answer, then exit":
		return answerThenExit{}, nil
	case "exit 7":
		os.Exit(7)
	case "exit 0":
		os.Exit(0)
	case "hang":
		select {}
	case "leave a child that hangs":
		child := exec.Command("/bin/sleep", "3600")
		if err := child.Start(); err != nil {
			return nil, err
		}
		fmt.Println("child", child.Process.Pid)
		select {}
	case "wait for the file":
		for {
			if _, err := os.Stat(os.Getenv("WAIT_FOR")); err == nil {
				return nil, nil
			}
			time.Sleep(2 * time.Millisecond)
		}
	case "answer too much":
		return strings.Repeat("x", 7<<20), nil
	case "fail while answering":
		return unencodable{io.MultiReader(strings.NewReader("half of it"), brokenReader{})}, nil
	case "show the context":
		deadline, _ := ctx.Deadline()
		lc, _ := lambdacontext.FromContext(ctx)
		fmt.Println("left", time.Until(deadline).Round(time.Second))
		fmt.Println("request", lc.AwsRequestID)
		fmt.Println("arn", lc.InvokedFunctionArn)
		return nil, nil
	case "show the environment":
		for _, variable := range os.Environ() {
			fmt.Println("env", variable)
		}
		folder, err := os.Getwd()
		fmt.Println("folder", folder)
		return nil, err
	case "write much on both streams":
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			for i := range 2000 {
				fmt.Fprint(os.Stderr, "stderr ", i, " ", strings.Repeat("e", 100), "\n")
			}
		}()
		for i := range 2000 {
			fmt.Print("stdout ", i, " ")
			fmt.Print(strings.Repeat("o", 100), "\n")
		}
		<-finished
		return nil, nil
	case "end in mid-line":
		fmt.Print("said half a line")
		os.Exit(1)
	}
	return nil, errors.New("the test asks for what this function does not know")
}

// answerThenExit is an answer after which the process ends, before it asks for
// the next event: aws-lambda-go closes an answer when it is sent.
type answerThenExit struct{}

func (answerThenExit) Read([]byte) (int, error)     { return 0, io.EOF }
func (answerThenExit) MarshalJSON() ([]byte, error) { return nil, errors.New("to be read instead") }
func (answerThenExit) Close() error                 { os.Exit(9); return nil }

// unencodable makes aws-lambda-go read an answer instead of encoding it.
type unencodable struct{ io.Reader }

func (unencodable) MarshalJSON() ([]byte, error) { return nil, errors.New("to be read instead") }

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, &oddError{} }

// speakRaw is a runtime that makes mistakes, and tells how they are received.
func speakRaw() {
	for {
		response, err := http.Get("http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/next")
		if err != nil {
			os.Exit(1)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		id := response.Header.Get("Lambda-Runtime-Aws-Request-Id")
		next, err := http.Get("http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/next")
		if err != nil {
			os.Exit(1)
		}
		_ = next.Body.Close()
		fmt.Println("next before the answer", next.StatusCode)
		fmt.Println("answer for another", post("/runtime/invocation/another/response", "{}"))
		fmt.Println("error for another", post("/runtime/invocation/another/error", "{}"))
		fmt.Println("init error too late", post("/runtime/init/error", "{}"))
		fmt.Println("first answer", post("/runtime/invocation/"+id+"/response", "{}"))
		fmt.Println("second answer", post("/runtime/invocation/"+id+"/response", "{}"))
		fmt.Println("error after the answer", post("/runtime/invocation/"+id+"/error", "{}"))
	}
}

func post(path, body string) int {
	response, err := http.Post("http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2018-06-01"+path, "application/json", strings.NewReader(body))
	if err != nil {
		fmt.Println("posting:", err)
		os.Exit(1)
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode
}

// beHost hosts a function that hangs, until a test kills this process.
func beHost() {
	c := config(os.Stdout, "obedient")
	f, err := lambdahost.New(c)
	if err != nil {
		fmt.Println("hosting:", err)
		os.Exit(1)
	}
	fmt.Println("invoking:", f.Invoke(context.Background(), event("hang")))
}
