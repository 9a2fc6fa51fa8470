package awstopology_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/smithy-go"

	"github.com/dbrotation/dbrotation/rotator"
	"github.com/dbrotation/dbrotation/rotator/awstopology"
)

func TestADeniedCallNamesThePermission(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ action, host, admin string }{
		{"DescribeDBInstances", host("replica."), host("main.")},
		{"DescribeDBClusters", host("prod.cluster-ro-"), host("prod.cluster-")},
		{"DescribeDBClusters", host("prod-2."), host("prod.cluster-")},
		{"DescribeDBClusters", host("reports.cluster-custom-"), host("prod.cluster-")},
		{"DescribeDBProxies", host("front.proxy-"), host("prod.cluster-")},
		{"DescribeDBProxyTargets", host("front.proxy-"), host("prod.cluster-")},
		{"DescribeDBProxyEndpoints", host("readers.endpoint.proxy-"), host("prod.cluster-")},
		{"DescribeDBProxies", host("front.proxy-"), host("front.proxy-")},
		{"DescribeDBProxyTargets", host("front.proxy-"), host("front.proxy-")},
	} {
		service := serve(t, estate())
		service.Refuse(tt.action, "AccessDenied")
		_, err := service.topology().Relation(t.Context(), tt.host, tt.admin, "postgres")
		if !errors.Is(err, rotator.ErrDenied) || errors.Is(err, rotator.ErrUnrelated) || !strings.Contains(err.Error(), "access denied to rds:"+tt.action) {
			t.Errorf("%s for %s: %v", tt.action, tt.host, err)
		}
	}
	service := serve(t, estate())
	service.Refuse("DescribeDBInstances", "AccessDenied")
	_, err := service.topology().Admin(t.Context(), map[string]string{"aws:rds:primaryDBInstanceArn": arnOf(home, "db", "main")})
	if !errors.Is(err, rotator.ErrDenied) || !strings.Contains(err.Error(), "rds:DescribeDBInstances") {
		t.Errorf("a managed admin: %v", err)
	}
}

// TestAFailedCallProvesNothing: neither a relation nor that there is none.
func TestAFailedCallProvesNothing(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"Throttling", "InternalFailure", "ServiceUnavailable"} {
		service := serve(t, estate())
		service.Refuse("DescribeDBInstances", code)
		_, err := service.topology().Relation(t.Context(), host("replica."), host("main."), "postgres")
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != code || !errors.Is(err, rotator.ErrServiceSilent) || errors.Is(err, rotator.ErrUnrelated) || errors.Is(err, rotator.ErrDenied) {
			t.Errorf("%s: %v", code, err)
		}
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	_, err := serve(t, estate()).topology().Relation(late, host("replica."), host("main."), "postgres")
	if !errors.Is(err, rotator.ErrServiceSilent) || errors.Is(err, rotator.ErrUnrelated) {
		t.Errorf("no time is left: %v", err)
	}
	service := serve(t, estate())
	service.Close()
	_, err = service.topology().Relation(t.Context(), host("replica."), host("main."), "postgres")
	if !errors.Is(err, rotator.ErrServiceSilent) || errors.Is(err, rotator.ErrUnrelated) || !strings.Contains(err.Error(), "VPC") {
		t.Errorf("not reached: %v", err)
	}
}

// TestWhereACallIsSent: an application's secret decides the Region that is asked,
// and nothing else of where a signed call goes.
func TestWhereACallIsSent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, endpoint, host, want string }{
		{"home", "", host("other."), "rds.eu-west-1.amazonaws.com"},
		{"another Region", "", far("copy."), "rds.us-east-2.amazonaws.com"},
		{"in China", "", "main.c0homehash00.rds.cn-north-1.amazonaws.com.cn", "rds.cn-north-1.amazonaws.com.cn"},
		{"DocumentDB", "", "docs.cluster-c0homehash00.eu-west-1.docdb.amazonaws.com", "rds.eu-west-1.amazonaws.com"},
		{"an instance that is called rds", "", host("rds."), "rds.eu-west-1.amazonaws.com"},
		{"an endpoint of one's own, at home", "https://vpce-0.rds.eu-west-1.vpce.amazonaws.com", host("other."), "vpce-0.rds.eu-west-1.vpce.amazonaws.com"},
		{"an endpoint of one's own serves no other Region", "https://vpce-0.rds.eu-west-1.vpce.amazonaws.com", far("copy."), "rds.us-east-2.amazonaws.com"},
		{"an emulator serves all", "https://aws.example", far("copy."), "aws.example"},
		{"what is no Region", "", "main.c0homehash00.evil-example-com@x.rds.amazonaws.com", ""},
		{"what is a path", "", "main.c0homehash00.eu-west-1/x.rds.amazonaws.com", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked string
			topology := awstopology.New(aws.Config{
				Region: home, Retryer: func() aws.Retryer { return aws.NopRetryer{} },
				Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
				HTTPClient: sender(func(r *http.Request) (*http.Response, error) {
					asked = r.URL.Host
					return nil, errors.New("not sent")
				}),
			}, func(o *rds.Options) {
				if tt.endpoint != "" {
					o.BaseEndpoint = &tt.endpoint
				}
			})
			admin := "admin.c0homehash00.eu-west-1.rds.amazonaws.com"
			if strings.HasSuffix(tt.host, ".cn") {
				admin = "admin.c0homehash00.rds.cn-north-1.amazonaws.com.cn"
			}
			_, err := topology.Relation(t.Context(), tt.host, admin, "postgres")
			if asked != tt.want {
				t.Errorf("%q was asked, want %q: %v", asked, tt.want, err)
			}
		})
	}
}

// TestNoClientIsMadeBeforeAQuestion: most functions never ask.
func TestNoClientIsMadeBeforeAQuestion(t *testing.T) {
	t.Parallel()
	made := 0
	topology := awstopology.New(aws.Config{}, func(*rds.Options) { made++ })
	if _, err := topology.Relation(t.Context(), host("main."), host("main."), "postgres"); err != nil || made != 0 {
		t.Errorf("equal hosts: %d clients, %v", made, err)
	}
	if _, err := topology.Admin(t.Context(), nil); err == nil || made != 0 {
		t.Errorf("no tags: %d clients, %v", made, err)
	}
}

// sender sees a request in place of the network.
type sender func(*http.Request) (*http.Response, error)

func (s sender) Do(r *http.Request) (*http.Response, error) { return s(r) }
