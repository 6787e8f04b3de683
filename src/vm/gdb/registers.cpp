#include "vm/gdb/registers.hpp"

#include "base/bytes.hpp"
#include "vm/gdb/packet.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace strata::vm::gdb {
namespace {

using cpu::x86::Float80;
using cpu::x86::State;

constexpr std::string_view core = "org.gnu.gdb.i386.core", sse = "org.gnu.gdb.i386.sse",
                           avx = "org.gnu.gdb.i386.avx", segments = "org.gnu.gdb.i386.segments",
                           system = "org.strata.x86.system";

// GDB's order of the general registers, by the processor's numbers.
constexpr std::array<std::uint8_t, 16> order64{0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr std::array<std::string_view, 16> names64{"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
                                                   "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr std::array<std::string_view, 8> names32{"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
constexpr std::array<cpu::x86::SegmentIndex, 6> segment_order{cpu::x86::cs, cpu::x86::ss, cpu::x86::ds,
                                                              cpu::x86::es, cpu::x86::fs, cpu::x86::gs};
constexpr std::array<std::string_view, 6> segment_names{"cs", "ss", "ds", "es", "fs", "gs"};

// A plain member of State as a register of `Size` bytes: `member(state, index)` is a reference to it.
template <class T, unsigned Size, auto member>
RegisterRow plain(std::string name, std::string_view type, std::string_view feature, unsigned index = 0) {
    return {std::move(name),
            Size,
            type,
            feature,
            [](const State& state, unsigned i, std::byte* to) {
                std::array<std::byte, 8> bytes{};
                store_le<std::uint64_t>(bytes.data(), member(const_cast<State&>(state), i));
                std::copy_n(bytes.begin(), Size, to);
            },
            [](State& state, unsigned i, const std::byte* from) {
                std::array<std::byte, 8> bytes{};
                std::copy_n(from, Size, bytes.begin());
                member(state, i) = static_cast<T>(load_le<std::uint64_t>(bytes.data()));
                return true;
            },
            index};
}

template <class T>
using Member = T& (*)(State&, unsigned);

// ---- x87 ----

Float80& st(State& state, unsigned i) { return state.fp.physical[((state.fp.fsw >> 11) + i) & 7]; }

void get_st(const State& state, unsigned i, std::byte* to) {
    const Float80& value = st(const_cast<State&>(state), i);
    store_le(to, value.significand);
    store_le(to + 8, value.sign_exponent);
}

bool set_st(State& state, unsigned i, const std::byte* from) {
    st(state, i) = {load_le<std::uint64_t>(from), load_le<std::uint16_t>(from + 8)};
    return true;
}

// The tag of one register: 0 valid, 1 zero, 2 special. SDM volume 1 section 8.1.7.
unsigned content_tag(const Float80& value) {
    const unsigned exponent = value.sign_exponent & 0x7FFF;
    if (exponent == 0 && value.significand == 0) {
        return 1;
    }
    const bool integer_bit = value.significand >> 63;
    return exponent == 0 || exponent == 0x7FFF || !integer_bit ? 2 : 0;
}

void get_tags(const State& state, unsigned, std::byte* to) {
    std::uint32_t tags = 0;
    for (unsigned i = 0; i < 8; ++i) {
        const bool used = (state.fp.abridged_tag >> i) & 1;
        tags |= (used ? content_tag(state.fp.physical[i]) : 3U) << (2 * i);
    }
    store_le(to, tags);
}

bool set_tags(State& state, unsigned, const std::byte* from) {
    const auto tags = load_le<std::uint32_t>(from);
    std::uint8_t used = 0;
    for (unsigned i = 0; i < 8; ++i) {
        used = static_cast<std::uint8_t>(used | (((tags >> (2 * i)) & 3) != 3 ? 1U << i : 0U));
    }
    state.fp.abridged_tag = used;
    return true;
}

void add_x87(std::vector<RegisterRow>& rows) {
    for (unsigned i = 0; i < 8; ++i) {
        rows.push_back({fmt::format("st{}", i), 10, "i387_ext", core, get_st, set_st, i});
    }
    rows.push_back(plain<std::uint16_t, 4, [](State& s, unsigned) -> std::uint16_t& { return s.fp.fcw; }>(
        "fctrl", "int", core));
    rows.push_back(plain<std::uint16_t, 4, [](State& s, unsigned) -> std::uint16_t& { return s.fp.fsw; }>(
        "fstat", "int", core));
    rows.push_back({"ftag", 4, "int", core, get_tags, set_tags, 0});
    rows.push_back(plain<std::uint16_t, 4, [](State& s, unsigned) -> std::uint16_t& { return s.fp.fcs; }>(
        "fiseg", "int", core));
    rows.push_back(plain<std::uint64_t, 4, [](State& s, unsigned) -> std::uint64_t& { return s.fp.fip; }>(
        "fioff", "int", core));
    rows.push_back(plain<std::uint16_t, 4, [](State& s, unsigned) -> std::uint16_t& { return s.fp.fds; }>(
        "foseg", "int", core));
    rows.push_back(plain<std::uint64_t, 4, [](State& s, unsigned) -> std::uint64_t& { return s.fp.fdp; }>(
        "fooff", "int", core));
    rows.push_back(plain<std::uint16_t, 4, [](State& s, unsigned) -> std::uint16_t& { return s.fp.fop; }>(
        "fop", "int", core));
}

// ---- SSE and AVX: 16 bytes of a vector register, the low or the high ----

template <unsigned first_lane>
void get_half(const State& state, unsigned i, std::byte* to) {
    store_le(to, state.fp.ymm[i].lanes[first_lane]);
    store_le(to + 8, state.fp.ymm[i].lanes[first_lane + 1]);
}

template <unsigned first_lane>
bool set_half(State& state, unsigned i, const std::byte* from) {
    state.fp.ymm[i].lanes[first_lane] = load_le<std::uint64_t>(from);
    state.fp.ymm[i].lanes[first_lane + 1] = load_le<std::uint64_t>(from + 8);
    return true;
}

void add_vectors(std::vector<RegisterRow>& rows, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        rows.push_back({fmt::format("xmm{}", i), 16, "vec128", sse, get_half<0>, set_half<0>, i});
    }
    rows.push_back(plain<std::uint32_t, 4, [](State& s, unsigned) -> std::uint32_t& { return s.fp.mxcsr; }>(
        "mxcsr", "i386_mxcsr", sse));
}

void add_avx(std::vector<RegisterRow>& rows, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        rows.push_back({fmt::format("ymm{}h", i), 16, "uint128", avx, get_half<2>, set_half<2>, i});
    }
}

// ---- general and system ----

template <unsigned Size>
void add_general(std::vector<RegisterRow>& rows) {
    constexpr bool wide = Size == 8;
    const auto gpr = [](unsigned i) {
        return plain<std::uint64_t, Size,
                     [](State& s, unsigned n) -> std::uint64_t& { return s.gpr[wide ? order64[n] : n]; }>(
            std::string(wide ? names64[i] : names32[i]),
            wide ? (i == 6 || i == 7 ? "data_ptr" : "int64") : (i == 4 || i == 5 ? "data_ptr" : "int32"),
            core, i);
    };
    for (unsigned i = 0; i < (wide ? 16 : 8); ++i) {
        rows.push_back(gpr(i));
    }
    rows.push_back(plain<std::uint64_t, Size, [](State& s, unsigned) -> std::uint64_t& { return s.rip; }>(
        wide ? "rip" : "eip", "code_ptr", core));
    rows.push_back(plain<std::uint64_t, 4, [](State& s, unsigned) -> std::uint64_t& { return s.rflags; }>(
        "eflags", "i386_eflags", core));
    for (unsigned i = 0; i < segment_order.size(); ++i) {
        // A selector alone can't be written: what it would load depends on the mode and the tables.
        rows.push_back({std::string(segment_names[i]), 4, "int32", core,
                        [](const State& state, unsigned n, std::byte* to) {
                            store_le<std::uint32_t>(to, state.system.segments[segment_order[n]].selector);
                        },
                        [](State& state, unsigned n, const std::byte* from) {
                            return load_le<std::uint32_t>(from) ==
                                   state.system.segments[segment_order[n]].selector;
                        },
                        i});
    }
}

template <unsigned Size>
void add_system(std::vector<RegisterRow>& rows) {
    constexpr std::string_view type = Size == 8 ? "uint64" : "uint32";
    const auto add = [&]<auto member>(std::string_view name) {
        rows.push_back(plain<std::uint64_t, Size, member>(std::string(name), type, system));
    };
    add.template operator()<[](State& s, unsigned) -> std::uint64_t& { return s.system.cr0; }>("cr0");
    add.template operator()<[](State& s, unsigned) -> std::uint64_t& { return s.system.cr2; }>("cr2");
    add.template operator()<[](State& s, unsigned) -> std::uint64_t& { return s.system.cr3; }>("cr3");
    add.template operator()<[](State& s, unsigned) -> std::uint64_t& { return s.system.cr4; }>("cr4");
    if (Size == 8) {
        add.template operator()<[](State& s, unsigned) -> std::uint64_t& { return s.system.efer; }>("efer");
        add.template operator()<[](State& s, unsigned) -> std::uint64_t& { return s.system.kernel_gs_base; }>(
            "k_gs_base");
    }
    add.template operator()<[](State& s, unsigned) -> std::uint64_t& { return s.system.gdtr.base; }>(
        "gdtr_base");
    add.template operator()<[](State& s, unsigned) -> std::uint64_t& { return s.system.idtr.base; }>(
        "idtr_base");
}

void add_bases(std::vector<RegisterRow>& rows) {
    for (const auto segment : {cpu::x86::fs, cpu::x86::gs}) {
        rows.push_back(plain<std::uint64_t, 8, [](State& s, unsigned n) -> std::uint64_t& {
            return s.system.segments[n].base;
        }>(segment == cpu::x86::fs ? "fs_base" : "gs_base", "int", segments, segment));
    }
}

// ---- the target description ----

constexpr std::string_view core_types = R"(
    <flags id="i386_eflags" size="4">
      <field name="CF" start="0" end="0"/><field name="" start="1" end="1"/><field name="PF" start="2" end="2"/>
      <field name="AF" start="4" end="4"/><field name="ZF" start="6" end="6"/><field name="SF" start="7" end="7"/>
      <field name="TF" start="8" end="8"/><field name="IF" start="9" end="9"/><field name="DF" start="10" end="10"/>
      <field name="OF" start="11" end="11"/><field name="NT" start="14" end="14"/><field name="RF" start="16" end="16"/>
      <field name="VM" start="17" end="17"/><field name="AC" start="18" end="18"/><field name="VIF" start="19" end="19"/>
      <field name="VIP" start="20" end="20"/><field name="ID" start="21" end="21"/>
    </flags>)";
constexpr std::string_view sse_types = R"(
    <vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>
    <vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/>
    <vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>
    <union id="vec128">
      <field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/>
      <field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/>
      <field name="uint128" type="uint128"/>
    </union>
    <flags id="i386_mxcsr" size="4">
      <field name="IE" start="0" end="0"/><field name="DE" start="1" end="1"/><field name="ZE" start="2" end="2"/>
      <field name="OE" start="3" end="3"/><field name="UE" start="4" end="4"/><field name="PE" start="5" end="5"/>
      <field name="DAZ" start="6" end="6"/><field name="IM" start="7" end="7"/><field name="DM" start="8" end="8"/>
      <field name="ZM" start="9" end="9"/><field name="OM" start="10" end="10"/><field name="UM" start="11" end="11"/>
      <field name="PM" start="12" end="12"/><field name="FZ" start="15" end="15"/>
    </flags>)";

std::string describe(std::span<const RegisterRow> rows, bool long_mode) {
    std::string xml = "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n";
    xml += fmt::format("  <architecture>{}</architecture>\n", long_mode ? "i386:x86-64" : "i386");
    std::string_view feature;
    for (std::size_t number = 0; number < rows.size(); ++number) {
        const RegisterRow& row = rows[number];
        if (row.feature != feature) {
            xml += fmt::format("{}  <feature name=\"{}\">{}\n", feature.empty() ? "" : "  </feature>\n",
                               row.feature,
                               row.feature == core  ? core_types
                               : row.feature == sse ? sse_types
                                                    : "");
            feature = row.feature;
        }
        xml += fmt::format("    <reg name=\"{}\" bitsize=\"{}\" type=\"{}\" regnum=\"{}\"/>\n", row.name,
                           row.size * 8, row.type, number);
    }
    return xml + "  </feature>\n</target>\n";
}

} // namespace

RegisterMap::RegisterMap(bool long_mode) {
    long_mode ? add_general<8>(rows_) : add_general<4>(rows_);
    add_x87(rows_);
    add_vectors(rows_, long_mode ? 16 : 8);
    if (long_mode) {
        add_bases(rows_);
        add_avx(rows_, 16);
        add_system<8>(rows_);
    } else {
        add_system<4>(rows_);
    }
    target_xml_ = describe(rows_, long_mode);
}

std::string RegisterMap::read(const State& state, std::size_t number) const {
    std::array<std::byte, 16> bytes{};
    const RegisterRow& row = rows_[number];
    row.get(state, row.index, bytes.data());
    return to_hex(std::span(bytes).first(row.size));
}

std::string RegisterMap::read_all(const State& state) const {
    std::string text;
    for (std::size_t number = 0; number < rows_.size(); ++number) {
        text += read(state, number);
    }
    return text;
}

bool RegisterMap::write(State& state, std::size_t number, std::span<const std::byte> bytes) const {
    if (number >= rows_.size() || bytes.size() != rows_[number].size) {
        return false;
    }
    return rows_[number].set(state, rows_[number].index, bytes.data());
}

bool RegisterMap::write_all(State& state, std::span<const std::byte> bytes) const {
    for (std::size_t number = 0; number < rows_.size(); ++number) {
        const std::size_t size = rows_[number].size;
        if (bytes.size() < size || !write(state, number, bytes.first(size))) {
            return false;
        }
        bytes = bytes.subspan(size);
    }
    return bytes.empty();
}

} // namespace strata::vm::gdb
