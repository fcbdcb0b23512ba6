# Every target does the set-up that it needs; `make` alone says what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:$(CURDIR)/.tools:$(PATH)

PROTO := $(shell find proto third_party -name '*.proto') $(wildcard tools/documents/*.ts) buf.yaml buf.gen.yaml
# The page has parts of the mesh and of the contracts in it.
PAGE_SOURCES := $(shell find web mesh/resilience mesh/contract mesh/core gen -not -path 'web/dist*' -type f) package-lock.json
INSTALLED := node_modules/.package-lock.json
GENERATED := node_modules/.cache/weft/generated
PAGE := web/dist/index.html

.PHONY: help
help: ## Say what there is
	@echo "make run     start the shop, and say how to order something"
	@echo "make test    prove that it works"
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: setup web ## Start PostgreSQL, NATS and every service; Ctrl-C stops them. More processes: make run SCALE=order=2,review=2
	@exec node services/run.ts --scale "$(SCALE)"

.PHONY: dev
dev: setup web ## Like run, and restart one service when its code changes: make dev SERVICE=order
	@exec node services/run.ts --watch "$(SERVICE)"

.PHONY: web
web: $(PAGE) ## Build the shop's page, which the gateway serves, if it is not as its sources are

.PHONY: reset
reset: $(INSTALLED) ## Forget all data of this checkout
	@node services/run.ts --reset

.PHONY: test
test: setup ## Run every test, beside a running shop if you like; with the oldest nats-server: make test TEST_NATS_SERVER=oldest, on another data plane: TEST_DATA_PLANE=grpc-js
	@vitest run

# The tests of the services, and those of the shop as a whole.
SHOP_TESTS := services tests/story.test.ts tests/storefront.test.ts tests/gateway.test.ts tests/operate.test.ts

.PHONY: test-data-planes
test-data-planes: setup web ## Run the shop's tests on the libraries in place of its own data plane: grpc-js, then connect-node
	@for plane in grpc-js connect-node; do echo "on $$plane"; TEST_DATA_PLANE=$$plane vitest run $(SHOP_TESTS) || exit 1; done

.PHONY: check
check: setup check-format check-types check-proto check-gen ## All that needs no servers: format, lint, types, contracts
	@vitest run --project static

.PHONY: check-format
check-format: $(INSTALLED)
	biome ci --error-on-warnings .

.PHONY: check-types
check-types: $(GENERATED)
	tsc --project .
	tsc --project web

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
	git diff --exit-code --stat -- gen contracts/documents contracts/service-config contracts/nats

.PHONY: breaking
breaking: $(INSTALLED) ## Compare the contracts with every release and with the main branch
	node tools/contracts/breaking.ts

.PHONY: compat
compat: setup ## Prove that releases and today understand each other: rules, mutations, old clients, servers and events
	@node tools/contracts/compat.ts

.PHONY: corpus
corpus: setup tools ## Record the events of every release that has none recorded yet, from the shop of its commit
	@node tests/time-travel/record-corpus.ts

.PHONY: release
release: setup ## Say which version the contracts ask for, and why; write it: make release VERSION=1.2.3
	@node tools/contracts/release.ts --version "$(VERSION)"
	@buf generate

.PHONY: gen
gen: $(INSTALLED) ## Generate gen/ and contracts/documents/ from proto/
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
bench: bench-calls bench-data-plane ## Measure calls, then the data plane, beside peers, in turn, some forty minutes

.PHONY: bench-calls
bench-calls: setup $(PEERS) ## Measure calls and the costs of their protections beside peers, some fifteen minutes
	@tsc --project bench
	@node bench/calls.ts

.PHONY: bench-data-plane
bench-data-plane: setup $(PEERS) ## Measure calls, streams and connections of the data plane beside peers, also under attack, some twenty minutes
	@tsc --project bench
	@node bench/data-plane.ts

.PHONY: bench-orders
bench-orders: setup ## Measure the order path of a shop of its own, also while half of the payments are slow
	@node bench/orders.ts

.PHONY: bench-events
bench-events: setup $(PEERS) ## Measure events beside raw JetStream, raw PostgreSQL and Moleculer Channels
	@node bench/events.ts

.PHONY: bench-gateway
bench-gateway: setup $(PEERS) ## Measure REST and Connect through the gateway beside a bare proxy
	@tsc --project bench
	@node bench/gateway.ts

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

.PHONY: fuzz-rest
fuzz-rest: setup ## Call the operations of the gateway's OpenAPI document, well in parts and bad in parts: make fuzz-rest CASES=100000 SEED=7
	@CASES=$(CASES) SEED=$(SEED) vitest run tests/rest-fuzz.test.ts

.PHONY: fuzz
fuzz: setup ## Feed HPACK, HTTP/2 frames and gRPC's wire with valid, damaged and random octets: make fuzz CASES=100000 SEED=7
	@CASES=$(CASES) SEED=$(SEED) vitest run mesh/http2/hpack/fuzz.test.ts mesh/http2/fuzz.test.ts mesh/grpc/fuzz.test.ts

.PHONY: h2spec
h2spec: setup ## Have h2spec judge the server's HTTP/2: make h2spec SERVER=node
	@node tests/h2spec/judge.ts --server "$(SERVER)"

.PHONY: conformance
conformance: setup ## Have Connect's suite judge servers and clients, or one: make conformance SERVER=node, make conformance TRANSPORT=grpc-js
	@node tests/conformance/suite.ts
	@tsc --project tests/conformance
	@node tests/conformance/judge.ts --server "$(SERVER)" --transport "$(TRANSPORT)" --run "$(RUN)"

.PHONY: interop
interop: setup ## Prove that grpc-go, grpc-js, connect-node and the mesh understand each other, each with each
	@vitest run tests/interop

.PHONY: chaos
chaos: setup ## Kill brokers, databases, relays and consumers, and count what became of 50,000 events each time: make chaos SEED=7
	@node bench/chaos.ts $(if $(SEED),--seed $(SEED))

.PHONY: setup
setup: $(INSTALLED) $(GENERATED)

$(INSTALLED): package.json package-lock.json
	@echo "installing the packages of package-lock.json (npm ci)"
	@npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@

$(PAGE): $(PAGE_SOURCES) | $(INSTALLED)
	@echo "building the shop's page from web/ (vite build)"
	@vite build web --logLevel warn
	@touch $@

$(GENERATED): $(PROTO) | $(INSTALLED)
	@echo "generating gen/ and contracts/documents/ from proto/ (buf generate)"
	@buf generate
	@mkdir -p $(@D) && touch $@
