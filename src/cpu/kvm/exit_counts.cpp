#include "cpu/kvm/exit_counts.hpp"

#include <linux/kvm.h>
#include <string_view>

namespace strata::cpu::kvm {
namespace {

std::string_view name_of(std::size_t reason) {
    switch (reason) {
    case KVM_EXIT_IO: return "port";
    case KVM_EXIT_DEBUG: return "debug";
    case KVM_EXIT_MMIO: return "mmio";
    case KVM_EXIT_IRQ_WINDOW_OPEN: return "interrupt-window";
    case KVM_EXIT_SHUTDOWN: return "shutdown";
    case KVM_EXIT_FAIL_ENTRY: return "failed-entry";
    case KVM_EXIT_INTR: return "signal";
    case KVM_EXIT_INTERNAL_ERROR: return "internal-error";
    case KVM_EXIT_IOAPIC_EOI: return "end-of-interrupt";
    case KVM_EXIT_X86_RDMSR: return "msr-read";
    case KVM_EXIT_X86_WRMSR: return "msr-write";
    default: return "other";
    }
}

} // namespace

std::vector<Count> ExitCounts::list() const {
    std::vector<Count> list;
    for (std::size_t reason = 0; reason < counters_.size(); ++reason) {
        if (const std::uint64_t value = counters_[reason].load(std::memory_order_relaxed); value != 0) {
            list.push_back({name_of(reason), value});
        }
    }
    return list;
}

} // namespace strata::cpu::kvm
