// Traps of the host in translated code that are the guest's: divisions that overflow, operands that must be
// aligned. They send the instruction to the interpreter, which raises what the guest is to see.
#pragma once

#include "base/error.hpp"

namespace strata::cpu::translator {

class Translator;

// Takes SIGFPE and SIGSEGV for translated code; any other is passed to who had it before. Once a process.
void install_trap_handler();

// While it lives, this thread runs the translator's code.
class TrapScope {
public:
    explicit TrapScope(const Translator& translator);
    ~TrapScope();
    TrapScope(const TrapScope&) = delete;
    TrapScope& operator=(const TrapScope&) = delete;
};

} // namespace strata::cpu::translator
