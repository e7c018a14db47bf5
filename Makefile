# Two commands: `make demo` does the main job, `make test` passes the tests. Each sets up what it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
LITELLM := build/litellm
export PATH := $(PATH):$(CURDIR)/$(LITELLM)/bin

.PHONY: help demo test long litellm coverage lint types walls worlds gateway-worlds worlds-in-person gateway-cards sdk-matrix sdk-suite score-cards plugin-matrix backends hostile soak kills job-kills watch-kills bench site pins clean

help:            ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.packages: constraints.txt tools/make_venv.sh
	@sh tools/make_venv.sh $(PYTHON) $(VENV)
	@touch $@

$(READY): $(VENV)/.packages pyproject.toml
	@$(BIN)/pip -qq --disable-pip-version-check install --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)   ## the main job: load through the article's chain, verdicts, a report
	@$(BIN)/whocut run image_generation --chain article --clock scaled:100 \
	    --users 20 --requests 60 --mode plain --mode stream --mode no-retry --seed 7 --out runs/demo --force \
	    || [ $$? -eq 1 ]  # a busy machine makes the run invalid: a finding, and it says so; the demo was shown

test: $(READY) lint types walls   ## linters, types, the house's walls, the tests
	@$(BIN)/python -m pytest -n 3 --dist loadgroup -m "not long"

long: $(READY)   ## the tests that take longest, each a longer proof of what a shorter one in `make test` holds
	@$(BIN)/python -m pytest -n 3 --dist loadgroup -m long

litellm: $(LITELLM)/.ready ## LiteLLM's proxy in an environment of its own, where the tests find it (700 MB, network)

$(LITELLM)/.ready:
	@$(PYTHON) -m venv $(LITELLM)
	@$(LITELLM)/bin/pip -qq --disable-pip-version-check install 'litellm[proxy]==1.108.7'
	@touch $@

coverage: $(READY) ## all tests, the long ones too, and what of the code they run; fails below 85 %
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n 3 --dist loadgroup
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report --format=total > .coverage-total \
	    && echo "coverage: $$(cat .coverage-total) %" || { $(BIN)/coverage report | tail -60; exit 1; }

lint: $(READY)
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .

types: $(READY)
	@$(BIN)/mypy

walls: $(READY)
	@said=$$($(BIN)/lint-imports --no-cache 2>&1) || { printf '%s\n' "$$said"; exit 1; }

worlds: $(READY) ## 10,000 requests and 10,000 jobs through random worlds: exits 1 on one wrong `proven`
	@$(BIN)/python -m tests.worlds 10000 7
	@$(BIN)/python -m tests.worlds.jobs 10000 7

gateway-worlds: $(READY) ## each installed gateway between two taps, in each way of ending: exits 1 on one wrong `proven`
	@$(BIN)/python -m tests.worlds.gateways --n 20

worlds-in-person: $(READY) ## 400 requests through random worlds with real gateways in them, on a scaled clock
	@$(BIN)/python -m tests.worlds.in_person 400 7

sdk-matrix: $(READY) ## environments for openai 1.x and 2.x, kept under build/sdk
	@$(BIN)/python -m tests.mock_upstream.sdk.matrix

sdk-suite: $(READY) ## openai-python's own image tests: OPENAI_PYTHON_CHECKOUT=PATH make sdk-suite
	@$(BIN)/python -m pytest tests/mock_upstream/test_sdk_suite.py

backends: $(READY) ## a run's spans exported to Phoenix, a real backend, and read back
	@$(BIN)/python -m tests.backends

hostile: $(READY) ## ten minutes of hostile bytes on every door, counted by door: exits 1 on one finding
	@$(BIN)/python -m tests.hostile --seconds 600 --seed 7

soak: $(READY)   ## two hours with 500 requests in flight, and a guarded account beside them: exits 1 on one finding
	@$(BIN)/python -m tests.soak --hours 2 --in-flight 500 --seed 7

kills: $(READY)  ## 100 runs ended by kill -9 at random instants: exits 1 where one leaves what cannot be read
	@$(BIN)/python -m tests.kills --kills 100 --seed 7

job-kills: $(READY) ## 1,000 jobs, 20 kills of service, mock and receiver: exits 1 where two accounts contradict each other
	@$(BIN)/python -m tests.kills.jobs --jobs 1000 --kills 20 --seed 7

watch-kills: $(READY) ## a watch under load, ended by kill -9 forty times: exits 1 where a trace is lost, or judged twice
	@$(BIN)/python -m tests.kills.watch --kills 40 --seed 7

bench: $(READY)  ## every benchmark beside its peers; minutes, and it wants wrk, nginx, haproxy, npm
	@$(BIN)/python -m tests.benchmarks.bench_hop
	@$(BIN)/python -m tests.benchmarks.bench_mock
	@$(BIN)/python -m tests.benchmarks.bench_virtual
	@$(BIN)/python -m tests.benchmarks.bench_check
	@$(BIN)/python -m tests.benchmarks.bench_plugin
	@$(BIN)/python -m tests.benchmarks.bench_load

score-cards: $(READY) ## docs/score-cards.md anew: known clients, held to the retry contract (some minutes, network)
	@$(BIN)/python -m tests.contract.cards

plugin-matrix: $(READY) ## the pytest plugin in ordinary test suites, each in an environment of its own (minutes, network)
	@$(BIN)/python -m tests.plugin.matrix

gateway-cards: $(READY) ## docs/gateway-cards.md anew: what each installed gateway cancels, hides and says (some minutes)
	@$(BIN)/python -m tests.worlds.gateways.cards

site: $(READY)  ## the documentation as a site, in build/site; without the network
	@$(BIN)/zensical build --strict --clean --config-file mkdocs.yml && echo "site: build/site/index.html"

pins:            ## constraints.txt anew, with hashes and without any registry's name (needs uv)
	@uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet \
	    --python-version 3.11 --group dev \
	    --extra load --extra logs --extra parquet --extra redis --extra reports --extra respx pyproject.toml -o constraints.txt
	@{ echo '# Every version this project is tested with, with the hashes of its files. Made by `make pins`.'; \
	    cat constraints.txt; } > constraints.new && mv constraints.new constraints.txt

clean:           ## remove the environment, what was built, and the demo's run
	@rm -rf $(VENV) build dist runs/demo
	@rmdir runs 2>/dev/null || true
