#include "cpu/kvm/machine.hpp"

#include "cpu/kvm/msrs.hpp"

#include <bit>
#include <iterator>
#include <vector>

namespace strata::cpu::kvm {
namespace {

// Where the kernel may put three pages for VT-x's real mode, and one page of tables: below the flash, where
// no PC has anything.
constexpr std::uint64_t tss_pages = 0xFEFF'D000, identity_map_page = 0xFEFF'C000;

kvm_userspace_memory_region region(const memory::GuestMemory::Slot& slot, std::uint32_t number,
                                   bool log_writes) {
    const std::uint32_t read_only = slot.writable ? 0 : KVM_MEM_READONLY,
                        logged = log_writes ? KVM_MEM_LOG_DIRTY_PAGES : 0;
    return {.slot = number,
            .flags = read_only | logged,
            .guest_phys_addr = slot.base,
            .memory_size = slot.size,
            .userspace_addr = std::bit_cast<std::uintptr_t>(slot.host)};
}

} // namespace

Result<std::unique_ptr<Machine>> Machine::create(System system, memory::GuestMemory& memory,
                                                 const Clock& clock) {
    auto descriptor = system.create_machine();
    if (!descriptor) {
        return std::unexpected(descriptor.error());
    }
    std::unique_ptr<Machine> machine(new Machine(std::move(system), std::move(*descriptor), memory, clock));
    if (auto done = machine->set_up(); !done) {
        return std::unexpected(done.error());
    }
    return machine;
}

Machine::Machine(System system, Descriptor descriptor, memory::GuestMemory& memory, const Clock& clock)
    : system_(std::move(system)), descriptor_(std::move(descriptor)), memory_(memory), time_(clock),
      local_apics_(descriptor_), write_events_(descriptor_) {}

Result<void> Machine::set_up() {
    std::uint64_t identity_map = identity_map_page;
    if (auto set = STRATA_KVM_CALL(descriptor_, KVM_SET_IDENTITY_MAP_ADDR, &identity_map); !set) {
        return std::unexpected(set.error());
    }
    if (auto set = STRATA_KVM_CALL(descriptor_, KVM_SET_TSS_ADDR, tss_pages); !set) {
        return std::unexpected(set.error());
    }
    if (auto created = create_local_apics(); !created) {
        return created;
    }
    if (auto let = let_platform_msrs_out(); !let) {
        return let;
    }
    return map_memory();
}

Result<void> Machine::map_memory() {
    std::uint32_t number = 0;
    for (const auto& slot : memory_.slots()) {
        auto argument = region(slot, number++, logs_writes_);
        if (auto set = STRATA_KVM_CALL(descriptor_, KVM_SET_USER_MEMORY_REGION, &argument); !set) {
            return std::unexpected(set.error());
        }
    }
    return {};
}

Result<void> Machine::create_local_apics() {
    kvm_enable_cap capability{};
    capability.cap = KVM_CAP_SPLIT_IRQCHIP;
    capability.args[0] = KernelApics::io_apic_pins;
    if (auto enabled = STRATA_KVM_CALL(descriptor_, KVM_ENABLE_CAP, &capability); !enabled) {
        return std::unexpected(enabled.error());
    }
    return {};
}

// Accesses to what the kernel does not know, or refuses, come out too: so the guest gets its #GP from us.
Result<void> Machine::let_platform_msrs_out() {
    kvm_enable_cap capability{};
    capability.cap = KVM_CAP_X86_USER_SPACE_MSR;
    capability.args[0] = KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER;
    if (auto enabled = STRATA_KVM_CALL(descriptor_, KVM_ENABLE_CAP, &capability); !enabled) {
        return std::unexpected(enabled.error());
    }
    std::uint8_t none_allowed = 0; // a bit for each of up to 8 MSRs of a range
    kvm_msr_filter filter{};
    filter.flags = KVM_MSR_FILTER_DEFAULT_ALLOW;
    for (std::size_t i = 0; i < std::size(platform_msrs); ++i) {
        filter.ranges[i] = {.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
                            .nmsrs = platform_msrs[i].count,
                            .base = platform_msrs[i].first,
                            .bitmap = &none_allowed};
    }
    if (auto set = STRATA_KVM_CALL(descriptor_, KVM_X86_SET_MSR_FILTER, &filter); !set) {
        return std::unexpected(set.error());
    }
    return {};
}

// The kernel watches writes only from the first call on, since it costs the guest: so then all pages count as
// written.
void Machine::collect_dirty() {
    const bool knows = logs_writes_;
    if (!logs_writes_) {
        logs_writes_ = true;
        logs_writes_ = map_memory().has_value();
    }
    std::uint32_t number = 0;
    for (const auto& slot : memory_.slots()) {
        std::vector<std::uint64_t> bitmap((slot.size / memory::page_size + 63) / 64);
        kvm_dirty_log log{};
        log.slot = number++;
        log.dirty_bitmap = bitmap.data();
        if (!knows || descriptor_.raw(KVM_GET_DIRTY_LOG, &log) != 0) {
            bitmap.assign(bitmap.size(), ~std::uint64_t{0});
        }
        for (std::uint64_t page = 0; page < slot.size / memory::page_size; ++page) {
            if ((bitmap[page / 64] >> (page % 64)) & 1) {
                memory_.mark_dirty(slot.base + page * memory::page_size);
            }
        }
    }
}

} // namespace strata::cpu::kvm
