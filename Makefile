# `make demo` and `make test` work in a fresh clone with Node >= 20, python3 with pip, and make.
NODE_MODULES := node_modules/.package-lock.json
BUILD := dist/.built
# The tool that writes the list of commands would say that there is a newer one of itself.
export OCLIF_SKIP_NEW_VERSION_CHECK := true
SOURCES := $(shell find src commands -name '*.ts') package.json tsconfig.json

.PHONY: all demo test paper clean

all: $(BUILD)

$(NODE_MODULES): package-lock.json
	npm ci
	@touch $@

$(BUILD): $(NODE_MODULES) $(SOURCES)
	npm run --silent build
	@touch $@

# Text to report on a shipped text: a ReLU and a SiLU model, both laws fitted.
demo: $(BUILD)
	bin/run.js demo --out demo

test: $(NODE_MODULES)
	npm test

# The paper's laws refitted on its authors' 365 points.
paper: $(BUILD)
	node scripts/paper.mjs

clean:
	npm run --silent clean
