#include "kernel_start.hpp"

#include "cpu/x86/registers.hpp"

#include <array>
#include <initializer_list>

namespace strata::fuzz {
namespace {

namespace flag = cpu::x86::flag;

using Code = std::span<const std::uint8_t>;

constexpr std::uint64_t undefined_at = handlers + 6 * 8, fault_at = handlers + 14 * 8,
                        on_fault = handlers + 0x800, faults_left = handlers + 0x900, entry = handlers + 0xA00;

// As Linux has it.
constexpr std::uint64_t mask = flag::arithmetic | flag::tf | flag::if_ | flag::df | flag::iopl | flag::nt |
                               flag::rf | flag::ac | flag::id;

// The interrupt flag, GS and the stack are what system calls begin with.
constexpr std::uint8_t entry_code[]{
    0x0F, 0x01, 0xF8,                                           // swapgs
    0x48, 0x89, 0x24, 0x25, 0x00, 0x30, 0x00, 0x00,             // mov [0x3000], rsp
    0x65, 0x48, 0x83, 0x04, 0x25, 0x08, 0x30, 0x00, 0x00, 0x01, // add qword gs:[0x3008], 1
    0x0F, 0x01, 0xF8,                                           // swapgs
    0x48, 0x0F, 0x07,                                           // sysretq
};

// #UD and #PF go on behind the instruction, as long as most are: two bytes, three bytes. After eight page
// faults (of code that is not there, say) it is enough.
constexpr std::uint8_t undefined_64[]{0x48, 0x83, 0x04, 0x24, 0x02, // add qword [rsp], 2
                                      0x48, 0xCF};                  // iretq
constexpr std::uint8_t undefined_32[]{0x83, 0x04, 0x24, 0x02, 0xCF};
constexpr std::uint8_t to_on_fault[]{0xE9, 0x8B, 0x07, 0x00, 0x00};         // jmp
constexpr std::uint8_t fault_64[]{0xFE, 0x0C, 0x25, 0x00, 0xB9, 0x00, 0x00, // dec byte [faults_left]
                                  0x78, 0x0B,                               // js: to a HLT
                                  0x48, 0x83, 0xC4, 0x08,                   // add rsp, 8
                                  0x48, 0x83, 0x04, 0x24, 0x03,             // add qword [rsp], 3
                                  0x48, 0xCF};                              // iretq
constexpr std::uint8_t fault_32[]{0xFE, 0x0C, 0x25, 0x00, 0xB9, 0x00, 0x00, 0x78, 0x08,
                                  0x83, 0xC4, 0x04, 0x83, 0x04, 0x24, 0x03, 0xCF};
constexpr std::uint8_t most_faults[]{8};
static_assert(faults_left == 0xB900 && fault_at + sizeof to_on_fault + 0x78B == on_fault);

} // namespace

void set_kernel(ProcessorStart& start) {
    const bool wide = is_long(start.mode);
    using enum ProcessorMode;
    if (!wide && start.mode != protected_32 && start.mode != paging_32 && start.mode != paging_pae) {
        return;
    }
    if (wide) {
        start.patches.push_back({entry, entry_code});
        start.state.system.lstar = entry;
        start.state.system.fmask = mask;
        start.state.rflags ^= flag::if_; // set unless the input says otherwise
    }
    start.patches.push_back({undefined_at, wide ? Code(undefined_64) : Code(undefined_32)});
    start.patches.push_back({fault_at, to_on_fault});
    start.patches.push_back({on_fault, wide ? Code(fault_64) : Code(fault_32)});
    start.patches.push_back({faults_left, most_faults});
}

} // namespace strata::fuzz
