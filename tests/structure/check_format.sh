#!/bin/bash
# Fails when clang-format would change a file.
set -euo pipefail
cd "$1"
git ls-files 'src/*.[ch]pp' 'include/*.hpp' 'tests/*.[ch]pp' 'bench/*.cpp' 'fuzz/*.cpp' |
    xargs -r clang-format-19 --dry-run --Werror
