# Shanhe on a bare machine: Python 3.11 or newer with pip is enough. `make` explains itself.
# Packages come from wherever pip is configured to look; hashes are pinned in requirements*.lock.

PORT ?= 8600
DATA ?= .shanhe
WORKERS ?= 1
JOBS ?= 4
VENV ?= .venv

PYTHON ?=  # which Python makes the virtual environment; empty: the fastest
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar on
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
STUDIO_STAMP := $(VENV)/.installed-studio
COMPILE := $(BIN)/python -m uv pip compile pyproject.toml --extra local --group build --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header --universal --python-version 3.11 --quiet

.DEFAULT_GOAL := help
.PHONY: help run test lint bench prove mutate docs clean lock chromium demo-studio
SHELL := /bin/bash
unexport PYTHONDONTWRITEBYTECODE  # containers often set it: every process would compile the whole program again

# What llama.cpp's package leaves out and small systems lack, its OpenMP runtime, comes in another package where it is missing.
OPENMP = $(BIN)/python -c "import sys; from shanhe.compute.openmp import has_openmp; sys.exit(not has_openmp())" \
	|| $(PIP) --no-deps --require-hashes -r requirements-openmp.lock

# Where a target says in the reader's language what it does: in English, or in Chinese behind that.
SPOKEN := $(if $(filter zh%,$(firstword $(SHANHE_LANG) $(LC_ALL) $(LC_MESSAGES) $(LANG))),3,2)

help: ## Show this list | 显示本列表
	@echo "Shanhe 山河智汇: the software a small city runs to become an AI city · 小城成为 AI 之城所运行的软件"; echo
	@awk -F ':.*## | [|] ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$$(SPOKEN)}' $(MAKEFILE_LIST)
	@echo; echo "  PORT=$(PORT)  DATA=$(DATA)  WORKERS=$(WORKERS)  (make run PORT=9000)"

run: $(RUN_STAMP) ## Install what is needed and start the city on PORT with its data in DATA | 安装所需并启动城市，端口为 PORT，数据在 DATA
	@exec $(BIN)/python -m shanhe up --port $(PORT) --data $(DATA) --workers $(WORKERS)

test: $(DEV_STAMP) chromium ## Check style, types and layers, then run the tests | 检查风格、类型与层次，然后运行测试
	@status=0; said=$$(mktemp); \
	$(MAKE) --no-print-directory lint > $$said 2>&1 & linting=$$!; \
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not prove" || status=1; \
	wait $$linting || status=1; \
	cat $$said; rm -f $$said; exit $$status

lint: $(DEV_STAMP) ## Check style (ruff), types (mypy) and layers (import-linter) | 检查风格（ruff）、类型（mypy）与层次（import-linter）
	@status=0; \
	$(BIN)/ruff check . || status=1; \
	$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff --quiet .; status=1; }; \
	$(BIN)/mypy || status=1; \
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports || status=1; \
	exit $$status

bench: $(DEV_STAMP) ## Measure the gateway, the ledger and the rulebook; the tables go to docs/bench.md | 测量网关、账本与规则手册；表写入 docs/bench.md
	@$(BIN)/python -m shanhe bench

prove: $(DEV_STAMP) ## Run the slow proofs: crashes under load, a thousand callers, every disconnect | 运行慢的证明：负载下的崩溃、一千个调用方、各种断开
	@$(BIN)/python -m pytest -m "prove or hypothesis" --hypothesis-profile=thorough

mutate: $(DEV_STAMP) ## Change every constant of every rule and see whether an example notices | 逐一改动每条规则的每个常数，看示例是否发现
	@$(BIN)/python -m shanhe rules mutate

docs: $(DEV_STAMP) ## Build the documentation site into site/ | 把文档网站构建到 site/
	@$(BIN)/python -m shanhe.settings
	@$(BIN)/python -m shanhe.cli.pages
	@$(BIN)/python -m shanhe rules table > /dev/null
	@$(BIN)/python -m shanhe programmes page --docs docs > /dev/null
	@$(BIN)/mkdocs build --strict --quiet && echo "site/index.html"

demo-studio: $(STUDIO_STAMP) ## Turn an error book into a deployed model: train, drop layers, quantize, measure | 把错题集变成已部署的模型：训练、删层、量化、测量
	@$(BIN)/python -m shanhe bench studio

clean: ## Remove what can be built again (keeps DATA and the virtual environment) | 删除可以重建的东西（保留 DATA 与虚拟环境）
	@rm -rf site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

lock: $(DEV_STAMP) ## Resolve dependencies again and pin them with hashes | 重新解析依赖，并以哈希锁定
	@$(COMPILE) --upgrade -o requirements.lock
	@$(COMPILE) --upgrade --group dev -c requirements.lock -o requirements-dev.lock
	@$(COMPILE) --upgrade --extra studio -c requirements.lock -o requirements-studio.lock
	@$(COMPILE) --upgrade --extra ray -c requirements.lock -o requirements-ray.lock
	@$(COMPILE) --upgrade --extra scenes -c requirements.lock -o requirements-scenes.lock
	@$(COMPILE) --upgrade --extra traces -c requirements.lock -o requirements-traces.lock
	@echo treelite | $(subst pyproject.toml --extra local --group build,- --no-deps,$(COMPILE)) --upgrade -o requirements-openmp.lock

$(VENV)/bin/python:
	@python="$(or $(strip $(PYTHON)),$$(deploy/fastest-python))"; \
	if [ -z "$$python" ]; then echo "Shanhe needs Python 3.11 or newer with pip; none was found. Install it (on Debian: apt install python3-venv), or say where it is: make PYTHON=/path/to/python3"; exit 1; fi; \
	echo "Python: $$python"; \
	"$$python" -m venv $(VENV) >/dev/null 2>&1 || { rm -rf $(VENV); "$$python" -m venv --without-pip $(VENV) \
		&& "$$python" -m pip --python $(VENV)/bin/python install --quiet pip; } \
		|| { echo "A virtual environment could not be made. On Debian: apt install python3-venv"; rm -rf $(VENV); exit 1; }

$(RUN_STAMP): requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing (hashes checked) …"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@$(OPENMP)
	@touch $@

$(DEV_STAMP): requirements-dev.lock requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing what tests need (hashes checked) …"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@$(OPENMP)
	@touch $@ $(RUN_STAMP)

$(STUDIO_STAMP): requirements-studio.lock requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing what trains: torch, transformers, peft, gguf (hashes checked) …"
	@$(PIP) --require-hashes -r requirements-studio.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@ $(RUN_STAMP)

chromium:  # the browser of the browser tests, and what its driver needs of the system
	@$(BIN)/python -m playwright --version >/dev/null 2>&1 && for name in chromium-headless-shell chromium chromium-browser google-chrome; do \
		command -v $$name >/dev/null 2>&1 && exit 0; done; \
	install="apt-get install -y --no-install-recommends libatomic1 fonts-noto-cjk"; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		echo "Installing Chromium for the browser tests …"; export DEBIAN_FRONTEND=noninteractive; \
		(apt-get update -qq; $$install chromium-headless-shell || $$install chromium) >/dev/null 2>&1 \
			|| { echo "apt could not install it: $$install chromium"; exit 1; }; \
	else \
		echo "The browser tests need Chromium, and its driver libatomic. Install them first, on Debian: sudo $$install chromium-headless-shell"; \
		exit 1; \
	fi
