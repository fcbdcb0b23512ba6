# Every target does the set-up that it needs; `make` alone says what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:$(CURDIR)/.tools:$(PATH)

PROTO := $(shell find proto third_party -name '*.proto') buf.yaml buf.gen.yaml
INSTALLED := node_modules/.package-lock.json
GENERATED := node_modules/.cache/weft/generated

.PHONY: help
help: ## Say what there is
	@echo "make run     start the shop, and say how to order something"
	@echo "make test    prove that it works"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: setup ## Start PostgreSQL, NATS and every service; Ctrl-C stops them. More processes: make run SCALE=order=2,review=2
	@exec node services/run.ts --scale "$(SCALE)"

.PHONY: dev
dev: setup ## Like run, and restart one service when its code changes: make dev SERVICE=order
	@exec node services/run.ts --watch "$(SERVICE)"

.PHONY: reset
reset: $(INSTALLED) ## Forget all data of this checkout
	@node services/run.ts --reset

.PHONY: test
test: setup ## Run every test, beside a running shop if you like
	@vitest run

.PHONY: check
check: setup check-format check-types check-proto check-gen ## All that needs no servers: format, lint, types, contracts
	@vitest run --project static

.PHONY: check-format
check-format: $(INSTALLED)
	biome ci --error-on-warnings .

.PHONY: check-types
check-types: $(GENERATED)
	tsc --project .

.PHONY: check-proto
check-proto: $(INSTALLED)
	buf lint
	buf format proto --diff --exit-code
	node tools/contracts/vendor-protos.ts --check
	node tools/contracts/breaking.ts

.PHONY: check-gen
check-gen: $(INSTALLED)
	buf generate
	node tools/contracts/service-config.ts
	node tools/contracts/nats-permissions.ts
	git diff --exit-code --stat -- gen contracts/service-config contracts/nats

.PHONY: breaking
breaking: $(INSTALLED) ## Compare the contracts with every release and with the main branch
	node tools/contracts/breaking.ts

.PHONY: gen
gen: $(INSTALLED) ## Generate gen/ from proto/
	buf generate

.PHONY: service-config
service-config: setup ## Write the call policies as gRPC service config, for clients in other languages
	@node tools/contracts/service-config.ts

.PHONY: nats-permissions
nats-permissions: setup ## Write what each service may do at a NATS broker, for nats-server's configuration
	@node tools/contracts/nats-permissions.ts

.PHONY: format
format: $(INSTALLED) ## Format code and contracts
	biome check --write .
	buf format proto --write

.PHONY: vendor
vendor: $(INSTALLED) ## Bring third_party/ up to the installed packages
	node tools/contracts/vendor-protos.ts

.PHONY: tools
tools: $(INSTALLED) ## Install grpcurl and nats-server into .tools/
	@node tools/local/grpcurl.ts

PEERS := bench/node_modules/.package-lock.json

.PHONY: bench
bench: setup $(PEERS) ## Measure calls beside peers, in turn, some ten minutes
	@tsc --project bench
	@node bench/calls.ts

.PHONY: bench-orders
bench-orders: setup ## Measure the order path of a shop of its own
	@node bench/orders.ts

.PHONY: bench-events
bench-events: setup $(PEERS) ## Measure events beside raw JetStream, raw PostgreSQL and Moleculer Channels
	@node bench/events.ts

$(PEERS): bench/package.json bench/package-lock.json
	@echo "installing the peers of bench/package-lock.json (npm ci)"
	@npm ci --prefix bench --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@

.PHONY: scenarios
scenarios: setup ## Put the policies into every situation that calls must survive, in a simulator
	@node bench/scenarios.ts

.PHONY: storm
storm: setup ## Put real processes into overload, slow and dead replicas, a retry storm, a rolling restart
	@node bench/storm.ts

.PHONY: chaos
chaos: setup ## Kill brokers, databases, relays and consumers, and count what became of 50,000 events each time
	@node bench/chaos.ts

.PHONY: setup
setup: $(INSTALLED) $(GENERATED)

$(INSTALLED): package.json package-lock.json
	@echo "installing the packages of package-lock.json (npm ci)"
	@npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@

$(GENERATED): $(PROTO) | $(INSTALLED)
	@echo "generating gen/ from proto/ (buf generate)"
	@buf generate
	@mkdir -p $(@D) && touch $@
