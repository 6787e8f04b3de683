// What an interrupt controller drives: a processor's interrupt inputs. The machine puts a vCPU behind it.
#pragma once

#include <cstdint>

namespace strata::devices {

class InterruptTarget {
public:
    virtual ~InterruptTarget() = default;
    virtual void set_interrupt(bool asserted) = 0; // INTR
    virtual void nmi() = 0;
    virtual void smi() = 0;
    virtual void init() = 0;
    virtual void startup(std::uint8_t vector) = 0; // execution begins at vector << 12
};

} // namespace strata::devices
