// Command rotation is the Lambda function that Secrets Manager calls to rotate
// the credentials of databases.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/dbdrivers/engines"
	"github.com/dbrotation/dbrotation/rotator"
	"github.com/dbrotation/dbrotation/rotator/awsstore"
	"github.com/dbrotation/dbrotation/rotator/awstopology"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	rotation, err := configure(context.Background(), log)
	if err != nil {
		// The log is where Lambda's user looks; the exit status makes Lambda
		// report the failed start to Secrets Manager.
		log.Error("the function cannot start", "error", err.Error())
		os.Exit(1)
	}
	lambda.Start(rotation.Handle)
}

func configure(ctx context.Context, log *slog.Logger) (*rotator.Rotator, error) {
	settings, err := fromEnvironment(os.LookupEnv)
	if err != nil {
		return nil, err
	}
	sdk, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(httpClient()))
	if err != nil {
		return nil, err
	}
	settings.rotation.Secrets = awsstore.New(secretsmanager.NewFromConfig(sdk, settings.client))
	settings.rotation.Drivers = engines.Table()
	settings.rotation.Topology = awstopology.New(sdk)
	settings.rotation.Log = log
	return rotator.New(settings.rotation)
}
