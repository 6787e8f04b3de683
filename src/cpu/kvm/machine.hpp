// A machine of the kernel's: its memory, what comes out of it to user space, its dirty log, its time.
#pragma once

#include "cpu/kvm/kernel_apics.hpp"
#include "cpu/kvm/kernel_write_events.hpp"
#include "cpu/kvm/system.hpp"
#include "cpu/kvm/time_base.hpp"
#include "memory/guest_memory.hpp"

#include <memory>

namespace strata::cpu::kvm {

class Machine {
public:
    [[nodiscard]] static Result<std::unique_ptr<Machine>> create(System system, memory::GuestMemory& memory,
                                                                 const Clock& clock);

    [[nodiscard]] const System& system() const { return system_; }

    [[nodiscard]] const Descriptor& descriptor() const { return descriptor_; }

    [[nodiscard]] KernelWriteEvents& write_events() { return write_events_; }

    [[nodiscard]] TimeBase& time() { return time_; }

    [[nodiscard]] KernelApics& local_apics() { return local_apics_; }

    // Marks which pages vCPUs wrote since the last call. While no vCPU runs.
    void collect_dirty();

private:
    Machine(System system, Descriptor descriptor, memory::GuestMemory& memory, const Clock& clock);

    [[nodiscard]] Result<void> set_up();
    [[nodiscard]] Result<void> map_memory();
    [[nodiscard]] Result<void> create_local_apics();
    [[nodiscard]] Result<void> let_platform_msrs_out();

    System system_;
    Descriptor descriptor_;
    memory::GuestMemory& memory_;
    TimeBase time_;
    KernelApics local_apics_;
    KernelWriteEvents write_events_;
    bool logs_writes_ = false;
};

} // namespace strata::cpu::kvm
