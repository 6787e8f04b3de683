// What the guest did that the processor leaves to us, as calls of the bus. Values that the kernel hands out
// are the guest's: read once.
#include "base/bytes.hpp"
#include "cpu/kvm/msrs.hpp"
#include "cpu/kvm/vcpu.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>

namespace strata::cpu::kvm {
namespace {

std::uint32_t load_port(const std::uint8_t* from, unsigned size) {
    switch (size) {
    case 1: return *from;
    case 2: return load_le<std::uint16_t>(from);
    default: return load_le<std::uint32_t>(from);
    }
}

void store_port(std::uint8_t* to, unsigned size, std::uint32_t value) {
    switch (size) {
    case 1: *to = static_cast<std::uint8_t>(value); break;
    case 2: store_le(to, static_cast<std::uint16_t>(value)); break;
    default: store_le(to, value); break;
    }
}

// The largest access that the bus has, within what is left.
unsigned next_piece(std::size_t left) {
    return std::bit_floor(static_cast<unsigned>(std::min<std::size_t>(left, 8)));
}

std::string hexadecimal(std::uint64_t value) {
    char text[20];
    std::snprintf(text, sizeof(text), "%#llx", static_cast<unsigned long long>(value));
    return text;
}

} // namespace

std::optional<Exit> KvmVcpu::handle() {
    const kvm_run& run = shared();
    switch (run.exit_reason) {
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN: return std::nullopt; // seen to before the guest runs again
    case KVM_EXIT_IO: handle_ports(); break;
    case KVM_EXIT_MMIO: handle_mmio(); break;
    case KVM_EXIT_X86_RDMSR: handle_read_msr(); break;
    case KVM_EXIT_X86_WRMSR: handle_write_msr(); break;
    case KVM_EXIT_IOAPIC_EOI: machine_.local_apics().end_of_interrupt(run.eoi.vector); return std::nullopt;
    case KVM_EXIT_SHUTDOWN: shut_down_ = true; return std::nullopt;
    case KVM_EXIT_DEBUG: return debug_.stopped(run.debug.arch) ? std::optional(Exit::debug) : std::nullopt;
    case KVM_EXIT_FAIL_ENTRY:
        fail_with({"the host's processor refused the vCPU's state (reason " +
                       hexadecimal(run.fail_entry.hardware_entry_failure_reason) + ")",
                   "run the machine with --engine interpreter"});
        return std::nullopt;
    case KVM_EXIT_INTERNAL_ERROR:
        fail_with({"KVM cannot emulate the guest's instruction at " + hexadecimal(linear_rip()) + " (error " +
                       hexadecimal(run.internal.suberror) + ")",
                   "run the machine with --engine interpreter"});
        return std::nullopt;
    default:
        fail_with(
            {"KVM left the guest for a reason that is not known here: " + hexadecimal(run.exit_reason)});
        return std::nullopt;
    }
    unfinished_ = true;
    return std::nullopt;
}

void KvmVcpu::handle_ports() {
    const auto io = shared().io;
    const unsigned size = io.size;
    std::uint8_t* data = descriptor_.data(io.data_offset, std::uint64_t{size} * io.count);
    if (data == nullptr) {
        fail_with({"KVM gave a port access without its data"});
        return;
    }
    for (std::uint32_t i = 0; i < io.count; ++i, data += size) {
        if (io.direction == KVM_EXIT_IO_OUT) {
            bus_.write_port(io.port, size, load_port(data, size));
        } else {
            store_port(data, size, bus_.read_port(io.port, size));
        }
    }
}

void KvmVcpu::handle_mmio() {
    auto& mmio = shared().mmio;
    const std::size_t length = std::min<std::size_t>(mmio.len, sizeof(mmio.data));
    std::array<std::uint8_t, 8> bytes{};
    if (mmio.is_write) {
        std::copy_n(mmio.data, length, bytes.begin());
    }
    for (std::size_t done = 0; done < length;) {
        const unsigned size = next_piece(length - done);
        std::array<std::uint8_t, 8> piece{};
        if (mmio.is_write) {
            std::copy_n(&bytes[done], size, piece.begin());
            bus_.write_mmio(mmio.phys_addr + done, size, load_le<std::uint64_t>(piece.data()));
        } else {
            store_le(piece.data(), bus_.read_mmio(mmio.phys_addr + done, size));
            std::copy_n(piece.begin(), size, &bytes[done]);
        }
        done += size;
    }
    if (!mmio.is_write) {
        std::copy_n(bytes.begin(), length, mmio.data);
    }
}

void KvmVcpu::handle_read_msr() {
    auto& msr = shared().msr;
    const auto value = bus_.read_msr(msr.index);
    msr.error = !value;
    msr.data = value.value_or(0);
}

void KvmVcpu::handle_write_msr() {
    auto& msr = shared().msr;
    msr.error = !bus_.write_msr(msr.index, msr.data);
}

} // namespace strata::cpu::kvm
