#include "cpu/translator/installed_trace.hpp"

#include <algorithm>
#include <cstring>

namespace strata::cpu::translator {

namespace {

// What is so far from the block's first instruction.
std::uint64_t linear_at(const NativeBlock& native, std::int32_t distance) {
    const std::uint64_t sum = native.linear + static_cast<std::uint64_t>(std::int64_t{distance});
    return native.narrow ? static_cast<std::uint32_t>(sum) : sum;
}

template <class Object>
std::uint64_t address(const Object& object) {
    return reinterpret_cast<std::uintptr_t>(&object);
}

// Empty: it does not fit.
std::optional<std::uint64_t> resolve(const Relocation& relocation, const std::uint8_t* code,
                                     const Stubs& stubs, const StateLayout& layout,
                                     const NativeBlock& native) {
    const auto number = static_cast<std::size_t>(relocation.value);
    const auto linear = linear_at(native, relocation.value);
    switch (relocation.kind) {
    case Relocation::Kind::stub:
        return static_cast<std::uint64_t>(stubs.enter + relocation.value - (code + relocation.at + 4));
    case Relocation::Kind::site: return address(native.sites[number]);
    case Relocation::Kind::link: return address(native.links[number]);
    case Relocation::Kind::data_set: return address(*layout.data_sets[number]);
    case Relocation::Kind::region:
        return native.regions[number / sizeof(Region)].region + number % sizeof(Region);
    case Relocation::Kind::region_number: return native.regions[number].number;
    case Relocation::Kind::page_id: return std::uint64_t{0} - native.page_id;
    case Relocation::Kind::fetch_id: return static_cast<std::uint64_t>(layout.fetch_id(native.user, linear));
    case Relocation::Kind::linear_unsigned:
        return linear <= 0xFFFF'FFFF ? std::optional(linear) : std::nullopt;
    case Relocation::Kind::linear_signed: {
        const auto as_signed = static_cast<std::int64_t>(linear);
        return as_signed == static_cast<std::int32_t>(as_signed) ? std::optional(linear) : std::nullopt;
    }
    case Relocation::Kind::linear: return linear;
    }
    return std::nullopt;
}

bool take_regions(const CompiledTrace& trace, const Installation& place, NativeBlock& native) {
    const auto first = static_cast<std::int32_t>(trace.header().key.offset);
    for (const CompiledTrace::Place& access : trace.places()) {
        const auto by = static_cast<std::int32_t>(trace.instructions()[access.instruction].offset);
        native.regions.push_back({.last = access.last,
                                  .view = native.view,
                                  .writes = access.writes != 0,
                                  .narrow = native.narrow,
                                  .rip = linear_at(native, by - first)});
        RegionUse& use = native.regions.back();
        if (!place.regions.take(use)) {
            native.regions.pop_back();
            return false;
        }
        use.region = static_cast<std::uint32_t>(place.layout.region(use.number));
    }
    return true;
}

// False: that is not what the interpreter makes of the bytes.
bool decode(const CompiledTrace& trace, const Installation& place, NativeBlock& native) {
    const auto instructions = trace.instructions();
    const std::size_t round = trace.header().round;
    native.insns.reserve(instructions.size());
    native.sites.reserve(instructions.size());
    std::span<const std::uint8_t> bytes = trace.guest();
    for (std::size_t i = 0; i < instructions.size(); ++i) {
        const CompiledTrace::Instruction& instruction = instructions[i];
        if (i < round) {
            const auto decoded = place.decoder.decode(place.mode, bytes.first(instruction.length));
            if (decoded.status != interpreter::Decoder::Status::ok ||
                decoded.insn.length != instruction.length) {
                return false;
            }
            native.insns.push_back(decoded.insn);
            bytes = bytes.subspan(instruction.length);
        } else {
            native.insns.push_back(native.insns[i % round]);
        }
        const auto first = static_cast<std::int32_t>(trace.header().key.offset);
        native.sites.push_back(
            {.insn = &native.insns.back(),
             .next_rip = linear_at(native, instruction.offset + instruction.length - first),
             .leaves = instruction.leaves != 0,
             .mnemonic = instruction.mnemonic,
             .before = static_cast<std::uint16_t>(i)});
    }
    return true;
}

// False: a branch leads another way than where this was translated, so that what looks for signals does not
// stand where it should.
bool make_links(const CompiledTrace& trace, std::uint8_t* code, NativeBlock& native) {
    const auto at = [code](std::uint32_t offset) {
        return offset == CompiledTrace::nowhere ? nullptr : code + offset;
    };
    for (const CompiledTrace::Branch& branch : trace.branches()) {
        const std::uint64_t target = linear_at(native, branch.target);
        if ((target < native.linear) != (branch.backward != 0)) {
            return false;
        }
        native.links.push_back({.target = target,
                                .jump = at(branch.jump),
                                .page_id = at(branch.page_id),
                                .unlinked = at(branch.unlinked),
                                .owner = &native,
                                .vectors_loaded = branch.vectors_loaded != 0,
                                .plain = branch.plain != 0,
                                .polls = branch.polls != 0});
    }
    return true;
}

} // namespace

bool relocate(const CompiledTrace& trace, std::span<std::uint8_t> copy, const Stubs& stubs,
              const StateLayout& layout, const NativeBlock& native) {
    for (const Relocation& relocation : trace.relocations()) {
        const auto value = resolve(relocation, copy.data(), stubs, layout, native);
        if (!value) {
            return false;
        }
        std::memcpy(copy.data() + relocation.at, &*value, size_of(relocation.kind));
    }
    return true;
}

bool install(const CompiledTrace& trace, const Installation& place, NativeBlock& native,
             std::vector<Trap>& traps) {
    const CompiledTrace::Header& header = trace.header();
    std::uint8_t* const code = place.to.data();
    native.entry = code;
    native.start = code + header.start;
    native.start_with_vectors = code + header.start_with_vectors;
    native.uses_vectors = header.uses_vectors != 0;
    native.uses_x87 = header.uses_x87 != 0;
    std::ranges::copy(trace.code(), code);
    if (!decode(trace, place, native) || !make_links(trace, code, native) ||
        !take_regions(trace, place, native) ||
        !relocate(trace, place.to, place.stubs, place.layout, native)) {
        for (const RegionUse& use : native.regions) {
            place.regions.give_back(use);
        }
        native.regions.clear();
        return false;
    }
    for (const CompiledTrace::Handled& trap : trace.handled()) {
        traps.push_back({code + trap.instruction, code + trap.handler});
    }
    return true;
}

} // namespace strata::cpu::translator
