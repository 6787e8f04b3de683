#include "compare.hpp"

#include "cpu/x86/descriptor.hpp"
#include "cpu/x86/register_names.hpp"
#include "cpu/x86/registers.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace strata::oracle {

namespace {

constexpr std::uint8_t page_fault_vector = 14;
constexpr std::array<const char*, 6> selector_names{"es", "cs", "ss", "ds", "fs", "gs"};

const char* vector_name(std::uint8_t vector) {
    constexpr std::array names{"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9",
                               "#TS", "#NP", "#SS", "#GP", "#PF", "#15", "#MF", "#AC", "#MC", "#XM"};
    return vector < names.size() ? names[vector] : "#?";
}

std::array<std::uint16_t, 6> as_array(const Selectors& s) { return {s.es, s.cs, s.ss, s.ds, s.fs, s.gs}; }

std::string format_st(const std::array<std::uint8_t, 16>& st) {
    std::string text;
    for (int i = 9; i >= 0; --i) {
        text += fmt::format("{:02x}", st[static_cast<std::size_t>(i)]);
        if (i == 8) {
            text += ':';
        }
    }
    return text;
}

class Comparison {
public:
    Comparison(const TestCase& input, const Outcome& native, const Outcome& interpreted,
               const Tolerance& tolerance)
        : input_(input), native_(native), interpreted_(interpreted), tolerance_(tolerance) {}

    std::vector<std::string> run() {
        ending();
        general();
        x87();
        vectors();
        memory();
        return std::move(lines_);
    }

private:
    void report(std::string_view what, const std::string& before, const std::string& native,
                const std::string& interpreted) {
        lines_.push_back(fmt::format("{:<8} native {}  interpreted {}{}", what, native, interpreted,
                                     before.empty() ? "" : "  (before: " + before + ")"));
    }

    template <class T>
    void number(std::string_view what, T before, T native, T interpreted) {
        if (native != interpreted) {
            report(what, fmt::format("{:#x}", before), fmt::format("{:#x}", native),
                   fmt::format("{:#x}", interpreted));
        }
    }

    void ending() {
        const bool page_fault = native_.vector == page_fault_vector;
        std::uint64_t significant = ~0U;
        constexpr std::uint64_t linux_user_end = 0x7FFF'FFFF'F000, present = 1;
        if (page_fault && (native_.cr2 >= linux_user_end || tolerance_.parts_in_any_order)) {
            significant = ~present; // Linux does not tell users which of its own pages are mapped
        }
        const bool both_fault = native_.registers.rip == interpreted_.registers.rip &&
                                native_.ending == Ending::exception &&
                                interpreted_.ending == Ending::exception;
        if (tolerance_.any_fault && both_fault) {
            return;
        }
        if (native_.ending != interpreted_.ending || native_.vector != interpreted_.vector ||
            ((native_.error_code ^ interpreted_.error_code) & significant) != 0 ||
            (page_fault && !tolerance_.parts_in_any_order && native_.cr2 != interpreted_.cr2)) {
            report("ends", "", describe_ending(native_), describe_ending(interpreted_));
        }
    }

    void general() {
        const Registers &before = input_.registers, &n = native_.registers, &i = interpreted_.registers;
        const std::uint64_t visible = tolerance_.narrow ? 0xFFFF'FFFF : ~std::uint64_t{0};
        for (std::size_t r = 0; r < cpu::x86::register_names.size(); ++r) {
            if (!((tolerance_.gpr >> r) & 1)) {
                number(cpu::x86::register_names[r], before.gpr[r], n.gpr[r] & visible, i.gpr[r] & visible);
            }
        }
        number("rip", before.rip, n.rip & visible, i.rip & visible);
        number("rflags", before.rflags, n.rflags & ~tolerance_.flags, i.rflags & ~tolerance_.flags);
        const auto b = as_array(before.selectors), ns = as_array(n.selectors), is = as_array(i.selectors);
        for (std::size_t s = 0; s < selector_names.size(); ++s) {
            if (!(cpu::x86::is_null(ns[s]) &&
                  cpu::x86::is_null(is[s]))) { // of which a hypervisor may lose the privilege level
                number(selector_names[s], b[s], ns[s], is[s]);
            }
        }
    }

    void x87() {
        const XsaveArea &before = input_.fp, &n = native_.fp, &i = interpreted_.fp;
        number("fcw", before.fcw, n.fcw, i.fcw);
        number("fsw", before.fsw, n.fsw, i.fsw);
        number<unsigned>("tags", before.tags, n.tags, i.tags);
        if (!tolerance_.x87_pointers) {
            number("fop", before.fop, n.fop, i.fop);
            number("fip", before.fip, n.fip, i.fip);
            number("fdp", before.fdp, n.fdp, i.fdp);
        }
        for (unsigned st = 0; st < 8; ++st) {
            if (!std::equal(n.st[st].begin(), n.st[st].begin() + 10, i.st[st].begin())) {
                report(fmt::format("st({})", st), format_st(before.st[st]), format_st(n.st[st]),
                       format_st(i.st[st]));
            }
        }
    }

    void vectors() {
        const XsaveArea &before = input_.fp, &n = native_.fp, &i = interpreted_.fp;
        number("mxcsr", before.mxcsr, n.mxcsr, i.mxcsr);
        const auto format = [](const XsaveArea& area, unsigned r) {
            return fmt::format("{:016x}_{:016x}_{:016x}_{:016x}", area.ymm_high[r][1], area.ymm_high[r][0],
                               area.xmm[r][1], area.xmm[r][0]);
        };
        for (unsigned r = 0; r < 16; ++r) {
            if (!((tolerance_.vectors >> r) & 1) &&
                (n.xmm[r] != i.xmm[r] || n.ymm_high[r] != i.ymm_high[r])) {
                report(fmt::format("ymm{}", r), format(before, r), format(n, r), format(i, r));
            }
        }
    }

    [[nodiscard]] bool tolerated(std::uint64_t address) const {
        return std::ranges::any_of(tolerance_.memory, [&](const Tolerance::Range& range) {
            return address - range.address < range.size;
        });
    }

    void memory() {
        if (tolerance_.parts_in_any_order) {
            return;
        }
        unsigned shown = 0;
        for (std::size_t p = 0; p < variable_pages.size(); ++p) {
            if (native_.memory[p] == interpreted_.memory[p]) {
                continue;
            }
            for (std::size_t offset = 0; offset < page; ++offset) {
                const std::uint64_t address = arena + variable_pages[p] * page + offset;
                if (native_.memory[p][offset] != interpreted_.memory[p][offset] && !tolerated(address) &&
                    shown++ < 16) {
                    number<unsigned>(fmt::format("[{:#x}]", address), input_.memory[p][offset],
                                     native_.memory[p][offset], interpreted_.memory[p][offset]);
                }
            }
        }
    }

    const TestCase& input_;
    const Outcome &native_, &interpreted_;
    const Tolerance& tolerance_;
    std::vector<std::string> lines_;
};

} // namespace

std::vector<std::string> differences(const TestCase& input, const Outcome& native, const Outcome& interpreted,
                                     const Tolerance& tolerance) {
    return Comparison(input, native, interpreted, tolerance).run();
}

std::string describe_ending(const Outcome& outcome) {
    switch (outcome.ending) {
    case Ending::syscall: return "a system call";
    case Ending::lost: return fmt::format("no end (rip {:#x})", outcome.registers.rip);
    case Ending::exception: break;
    }
    std::string text = fmt::format("{}({:#x})", vector_name(outcome.vector), outcome.error_code);
    if (outcome.vector == page_fault_vector) {
        text += fmt::format(" cr2 {:#x}", outcome.cr2);
    }
    return text;
}

std::string describe_input(const TestCase& input) {
    std::string text;
    for (std::size_t r = 0; r < cpu::x86::register_names.size(); ++r) {
        text += fmt::format("{}{:>3} {:016x}", r % 4 == 0 ? "\n   " : "  ", cpu::x86::register_names[r],
                            input.registers.gpr[r]);
    }
    const Selectors& s = input.registers.selectors;
    text += fmt::format("\n    rflags {:#x}  cs {:x} ss {:x} ds {:x} es {:x} fs {:x} gs {:x}",
                        input.registers.rflags, s.cs, s.ss, s.ds, s.es, s.fs, s.gs);
    text += fmt::format("\n    fcw {:04x} fsw {:04x} tags {:02x} mxcsr {:08x}\n", input.fp.fcw, input.fp.fsw,
                        input.fp.tags, input.fp.mxcsr);
    return text.substr(1);
}

} // namespace strata::oracle
