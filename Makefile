.PHONY: help check

help: ## List the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /	/'

check: ## Run all that a change must pass, in a fresh environment
	@bash .ci/run
