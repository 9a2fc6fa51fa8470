# Go is all that has to be there: https://go.dev/dl/. Works with GNU Make 3.81,
# which is what macOS has, and later.

.DEFAULT_GOAL := help

ENGINE   ?= postgres
STRATEGY ?= single

# Run, not installed, and in no go.mod: its dependencies are not ours.
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# A static binary that needs nothing of the machine it was built on. The tag
# leaves out the RPC server of the retired go1.x runtime.
BUILD := CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags='-s -w' -tags=lambda.norpc

# The race detector needs cgo, which Go turns off where there is no C compiler.
# It does not watch the arithmetic of Go's cryptography, which shares nothing:
# thousands of sign-ins would take twice as long.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race -gcflags='crypto/internal/fips140/...=-race=false')

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: modules ## rotate a secret on this machine (ENGINE=postgres|mysql|mariadb|redshift|documentdb STRATEGY=single|alternating|dual-password)
	@go run ./integration/demo -engine '$(ENGINE)' -strategy '$(STRATEGY)'

.PHONY: prove
prove: modules ## rotate a real secret once, and prove it (ENGINE=... SECRET_ID=... ARGS='-yes -timeout 5m')
	@go run ./integration/prove -engine '$(ENGINE)' -secret '$(SECRET_ID)' $(ARGS)

# -count=1: some tests run the go command or the binary it built, which the
# cache of test results does not see. -parallel: most of the time a test waits,
# for a server or for the SDK's pause before it tries again. What takes longest
# goes first.
.PHONY: test
test: modules ## every test, on real servers: the newest version of each engine and one old
	@$(if $(RACE),,echo "no C compiler: testing without the race detector")
	@go run ./integration/dbservers/cmd/prepare
	go test $(RACE) -count=1 -parallel=6 -timeout=80m ./integration ./...

.PHONY: test-all
test-all: ## the same on every supported server version
	@DBROTATION_ALL=1 $(MAKE) test

.PHONY: lint
lint: ## gofmt and golangci-lint
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted (run gofmt -w):"; echo "$$unformatted"; exit 1; }
	$(GOLANGCI) run ./...

.PHONY: build
build: modules ## the function's binary: build/linux-arm64/bootstrap and build/linux-amd64/bootstrap
	GOARCH=arm64 $(BUILD) -o build/linux-arm64/bootstrap ./functions/rotation
	GOARCH=amd64 $(BUILD) -o build/linux-amd64/bootstrap ./functions/rotation

# What `sam build` calls for the resource RotationFunction of template.yaml. The
# architecture is the template's.
.PHONY: build-RotationFunction
build-RotationFunction:
	@test -n "$(ARTIFACTS_DIR)" || { echo "ARTIFACTS_DIR is not set: this target is called by sam build"; exit 1; }
	GOARCH=arm64 $(BUILD) -o "$(ARTIFACTS_DIR)/bootstrap" ./functions/rotation

.PHONY: roots
roots: ## renew the embedded root certificates of Amazon RDS from AWS, and print what changed
	@go run ./dbdrivers/tlsconf/internal/renewroots -file dbdrivers/tlsconf/rds-roots.pem

.PHONY: clean
clean: ## remove what was built here
	rm -rf build .aws-sam

# Says what it needs and gets it. Database servers are found, or made, by the
# tests and the demo themselves (package integration/dbservers).
.PHONY: modules
modules:
	@command -v go >/dev/null || { echo "Go is not installed: see https://go.dev/dl/"; exit 1; }
	@echo "getting Go modules and compiling, which takes some minutes the first time"
	@go mod download
