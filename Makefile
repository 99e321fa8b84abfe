# The commands of the house. `make demo` and `make test` run on a fresh Debian
# machine with Go, git and make; what else they need they name and install.

GO     ?= go
SHELL  := bash
.SHELLFLAGS := -eu -o pipefail -c

# The one setting in which the pinned GoReleaser is built, so that the cache
# has it for the tests.
TOOLS  := CGO_ENABLED=0 $(GO) tool

# Tests start hundreds of programs; each built with -race would sleep a second
# before it exits. Up to three tests that fail are run once more, when nothing
# runs beside them; the end of the output names them and what they said.
TESTS  := GORACE=atexit_sleep_ms=0 $(GO) tool -modfile=build/gotestsum.mod gotestsum --format standard-quiet \
  --rerun-fails=1 --rerun-fails-max-failures=3 --rerun-fails-run-root-test

# Of a bench.
ROUNDS     ?= 5
CHANGES    ?= 100
WINECHANGES ?= 12
BENCHFLAGS ?=

# Of test-integration: a Debian with systemd, kept once it is made.
SYSTEMD_ROOT ?= $(HOME)/.cache/shipper/systemd-bookworm

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: helper ## bin/shipper, with the helper for Windows hosts inside
	$(GO) build -trimpath -buildvcs=auto -ldflags '-s -w' -o bin/ ./cmd/shipper

.PHONY: demo
demo: ## two Windows hosts on this machine, three versions, one rollback
	@build/ensure git wine ip
	@$(MAKE) --no-print-directory build
	bin/shipper demo

.PHONY: test
test: ## all tests, those on the lab included
	@build/ensure git wine ip winrm cc krb5 sshd tinyproxy promtool wixl msiinfo osslsigncode openssl
	@$(MAKE) --no-print-directory helper goreleaser testservers
	$(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	$(TESTS) --packages="$$($(GO) list ./... | grep -v /lab/e2e | tr '\n' ' ')" -- -race -timeout 25m
	$(TESTS) --packages=./lab/e2e -- -race -timeout 40m
	$(GO) test ./rollout/analysis # thousands of simulated hours, too slow with -race
	$(GO) run ./lab/simulate/all -seeds 5000 # with -race above only 4; each planted bug with the seeds that catch it

# Seeds of the simulation: those of make simulate, those in which a planted bug
# must be caught, and those that count what is covered.
SEEDS  ?= 100000
MUTANT ?= 1000
COVER  ?= 1000

.PHONY: simulate
simulate: ## releases in a simulated world that fails, one per seed; then planted bugs and coverage; SEEDS=n
	$(GO) run ./lab/simulate/all -seeds $(SEEDS) -mutants $(MUTANT) -cover $(COVER)

.PHONY: test-integration
test-integration: ## what takes minutes more: a third-party program released, cosign on what we sign, the service kit with a Consul agent, a Vault and a booted systemd
	@build/ensure git wine ip
	@$(MAKE) --no-print-directory helper
	SHIPPER_INTEGRATION=1 $(GO) test -count=1 -timeout 40m -v ./lab/e2e -run 'ThirdParty'
	GOBIN=$(CURDIR)/bin $(GO) install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
	PATH=$(CURDIR)/bin:$$PATH $(GO) test -count=1 -v -run Cosign ./packaging
	@echo "building a Consul agent from build/consul.mod, minutes unless the build cache has it"
	consul=$$($(TOOLS) -n -modfile=build/consul.mod consul) && PATH=$${consul%/*}:$$PATH SHIPPER_INTEGRATION=1 \
	  $(GO) test -race -count=1 -v ./service/consul
	@build/ensure postgres
	@echo "building a Vault from build/vault, minutes unless the build cache has it"
	CGO_ENABLED=0 $(GO) build -C build/vault -o $(CURDIR)/bin/vault .
	SHIPPER_VAULT=$(CURDIR)/bin/vault $(GO) test -race -count=1 -v -run RealVault ./service/secrets
	@build/ensure debootstrap systemd-nspawn
	@[ -e $(SYSTEMD_ROOT)/etc/os-release ] || { echo "making a Debian root with systemd in $(SYSTEMD_ROOT)"; mkdir -p $(SYSTEMD_ROOT); \
	  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm $(SYSTEMD_ROOT) >/dev/null; }
	CGO_ENABLED=0 SHIPPER_SYSTEMD_ROOT=$(SYSTEMD_ROOT) $(GO) test -count=1 -v -run Booted ./service

.PHONY: test-short
test-short: ## what needs neither Wine nor GoReleaser
	$(GO) vet ./...
	$(GO) test -short ./...

.PHONY: helper
helper: ## the Windows builds of shipper-host, compressed, for embedding
	$(GO) run ./host/helper/pack

.PHONY: goreleaser
goreleaser: # the pinned GoReleaser; minutes at first, then from the build cache
	@echo "building GoReleaser from tools.mod, unless the build cache has it"
	@$(TOOLS) -n -modfile=tools.mod goreleaser >/dev/null

.PHONY: bench-push
bench-push: ## pushes beside Ansible's and winrmcp's, over long ways, through faults; BENCHFLAGS="-only wire" is a part
	@build/ensure wine ip winrm
	@$(MAKE) --no-print-directory helper
	$(GO) run ./lab/bench/push $(BENCHFLAGS)

.PHONY: bench-router
bench-router: ## the router beside nginx, HAProxy and Caddy; ROUNDS=1 is quick
	@build/ensure git wine ip haproxy nginx caddy
	@$(MAKE) --no-print-directory helper
	PATH=$$PATH:/usr/sbin $(GO) run ./lab/bench/router -rounds $(ROUNDS) \
	  -zero-loss "$(GO) run ./lab/bench/zeroloss -rounds $(CHANGES) -wine $(WINECHANGES)" $(BENCHFLAGS)

# Twenty runs of each incident unless told otherwise.
.PHONY: bench-rollback
bench-rollback: ROUNDS := $(if $(filter file,$(origin ROUNDS)),20,$(ROUNDS))
bench-rollback: ## bad releases found and taken back, beside Flagger's way; ROUNDS=2 is quick
	@build/ensure ip promtool
	@$(GO) build -o bin/bench-rollback ./lab/bench/rollback
	bin/bench-rollback -rounds $(ROUNDS) $(BENCHFLAGS)

.PHONY: bench-service
bench-service: ## what the service kit costs, and its log beside zap and zerolog; BENCHFLAGS="-rounds 1" is quick
	cd lab/bench/service && $(GO) run -mod=mod . $(BENCHFLAGS)

# What release.yml runs; RELEASE="--snapshot --skip=publish" tries it here.
.PHONY: release
release: ## shipper itself for all systems, through .goreleaser.yaml, into dist/
	@build/ensure git
	CGO_ENABLED=0 $(GO) tool -modfile=tools.mod goreleaser release --clean $(RELEASE)

.PHONY: testservers
testservers: # what the tests run against or under, pinned in modules of its own
	@echo "building versitygw and act from build/*.mod, unless the build cache has them"
	@$(TOOLS) -n -modfile=build/s3.mod versitygw >/dev/null
	@$(TOOLS) -n -modfile=build/act.mod act >/dev/null

.PHONY: lint
lint: ## gofmt, vet, staticcheck, actionlint, govulncheck
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); \
	  if [ -n "$$unformatted" ]; then echo "not gofmt'ed:" $$unformatted; exit 1; fi
	$(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(TOOLS) -modfile=lint.mod staticcheck ./...
	GOOS=windows $$($(TOOLS) -n -modfile=lint.mod staticcheck) ./...
	GOOS=darwin $$($(TOOLS) -n -modfile=lint.mod staticcheck) ./...
	$(TOOLS) -modfile=lint.mod actionlint .github/workflows/*.yml examples/workflows/*.yml
	@build/vulncheck

.PHONY: clean
clean: ## what the other commands made
	rm -rf bin dist
	find host/helper/bin -type f ! -name README -delete
