#include "cpu/translator/compiled_trace.hpp"

#include "cpu/interpreter/decoder.hpp"
#include "cpu/interpreter/shared.hpp"
#include "memory/racing_bytes.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <type_traits>

namespace strata::cpu::translator {

namespace {

// Numbers that stand for the objects of one block.
class Numbers {
public:
    explicit Numbers(const CompiledTrace::Compiled& compiled) : compiled_(compiled) {
        for (const Link& link : compiled.native.links) {
            links_.emplace(&link, static_cast<std::int32_t>(links_.size()));
        }
        for (const RegionUse& use : compiled.native.regions) {
            regions_.emplace(use.number, static_cast<std::int32_t>(regions_.size()));
        }
    }

    // What a note's value is for a copy.
    [[nodiscard]] std::optional<std::int32_t> of(const Note& note) const {
        const NativeBlock& native = compiled_.native;
        switch (note.kind) {
        case Relocation::Kind::stub:
            return static_cast<std::int32_t>(note.value -
                                             reinterpret_cast<std::uintptr_t>(compiled_.stubs.enter));
        case Relocation::Kind::site:
            return static_cast<std::int32_t>(reinterpret_cast<const Site*>(note.value) - native.sites.data());
        case Relocation::Kind::link: return links_.at(reinterpret_cast<const Link*>(note.value));
        case Relocation::Kind::data_set: {
            const auto& sets = compiled_.layout.data_sets;
            const auto* set = reinterpret_cast<const interpreter::TlbSet*>(note.value);
            return static_cast<std::int32_t>(std::ranges::find(sets, set) - sets.begin());
        }
        case Relocation::Kind::region: {
            const auto distance =
                static_cast<std::uint32_t>(static_cast<int>(note.value) - compiled_.layout.region(0));
            constexpr auto size = static_cast<std::uint32_t>(sizeof(Region));
            return regions_.at(distance / size) * static_cast<std::int32_t>(size) +
                   static_cast<std::int32_t>(distance % size);
        }
        case Relocation::Kind::region_number: return regions_.at(static_cast<std::uint32_t>(note.value));
        case Relocation::Kind::page_id: return 0;
        case Relocation::Kind::fetch_id:
        case Relocation::Kind::linear_unsigned:
        case Relocation::Kind::linear_signed:
        case Relocation::Kind::linear: return from_first(note.value);
        }
        return std::nullopt;
    }

    // How far a linear address is from the first instruction; empty: further than a number says.
    [[nodiscard]] std::optional<std::int32_t> from_first(std::uint64_t linear) const {
        const auto distance = static_cast<std::int64_t>(linear - compiled_.native.linear);
        const auto short_one = static_cast<std::int32_t>(distance);
        return compiled_.native.narrow || short_one == distance ? std::optional(short_one) : std::nullopt;
    }

private:
    const CompiledTrace::Compiled& compiled_;
    std::map<const Link*, std::int32_t> links_;
    std::map<std::uint32_t, std::int32_t> regions_;
};

class Writer {
public:
    template <class T>
    void add(const T& item) {
        static_assert(std::has_unique_object_representations_v<T>);
        const auto* bytes = reinterpret_cast<const std::byte*>(&item);
        bytes_.insert(bytes_.end(), bytes, bytes + sizeof item);
    }

    [[nodiscard]] std::vector<std::byte>& bytes() { return bytes_; }

private:
    std::vector<std::byte> bytes_;
};

std::size_t total_size(const CompiledTrace::Header& header) {
    const std::size_t size =
        sizeof header + header.relocations * sizeof(Relocation) +
        header.branches * sizeof(CompiledTrace::Branch) + header.handled * sizeof(CompiledTrace::Handled) +
        header.places * sizeof(CompiledTrace::Place) +
        header.instructions * sizeof(CompiledTrace::Instruction) + header.guest + header.code;
    return (size + 7) / 8 * 8;
}

std::uint8_t flag(bool value) { return value ? 1 : 0; }

} // namespace

// ---- making ----

std::optional<CompiledTrace> CompiledTrace::of(const TraceKey& key, std::size_t head,
                                               const Compiled& compiled) {
    const NativeBlock& native = compiled.native;
    const Numbers numbers(compiled);
    const auto instructions = compiled.trace.instructions();
    // That there is none where it is undefined, bytes behind it may have decided.
    if (!std::ranges::all_of(instructions, &TraceInstruction::known)) {
        return std::nullopt;
    }
    const auto offset = [&](const std::uint8_t* place) {
        return place == nullptr ? nowhere : static_cast<std::uint32_t>(place - compiled.code.data());
    };
    Header header{.key = key,
                  .size = 0,
                  .head = 0,
                  .relocations = static_cast<std::uint32_t>(compiled.notes.size()),
                  .branches = static_cast<std::uint32_t>(native.links.size()),
                  .handled = static_cast<std::uint32_t>(compiled.traps.size()),
                  .places = static_cast<std::uint32_t>(native.regions.size()),
                  .instructions = static_cast<std::uint32_t>(instructions.size()),
                  .guest = 0,
                  .code = static_cast<std::uint32_t>(compiled.code.size()),
                  .round = static_cast<std::uint32_t>(compiled.trace.round()),
                  .start = offset(native.start),
                  .start_with_vectors = offset(native.start_with_vectors),
                  .uses_vectors = flag(native.uses_vectors),
                  .uses_x87 = flag(native.uses_x87),
                  .unused = {}};
    for (const TraceInstruction& instruction : instructions.first(header.round)) {
        header.guest += instruction.insn.length;
    }
    header.head = static_cast<std::uint32_t>(std::min<std::size_t>(head, header.guest));
    header.size = static_cast<std::uint32_t>(total_size(header));
    Writer writer;
    writer.bytes().reserve(header.size);
    writer.add(header);
    std::vector<std::uint8_t> code(compiled.code.begin(), compiled.code.end());
    for (const Note& note : compiled.notes) {
        const auto value = numbers.of(note);
        if (!value) {
            return std::nullopt;
        }
        const Relocation relocation{.at = note.at & 0xFF'FFFF, .kind = note.kind, .value = *value};
        std::memset(code.data() + note.at, 0, translator::size_of(note.kind));
        writer.add(relocation);
    }
    for (const Link& link : native.links) {
        const auto target = numbers.from_first(link.target);
        if (!target) {
            return std::nullopt;
        }
        writer.add(Branch{.target = *target,
                          .jump = offset(link.jump),
                          .page_id = offset(link.page_id),
                          .unlinked = offset(link.unlinked),
                          .vectors_loaded = flag(link.vectors_loaded),
                          .plain = flag(link.plain),
                          .polls = flag(link.polls),
                          .backward = flag(link.target < native.linear)});
    }
    for (const Trap& trap : compiled.traps) {
        writer.add(Handled{.instruction = offset(trap.instruction), .handler = offset(trap.handler)});
    }
    for (const RegionUse& use : native.regions) {
        const auto by = std::ranges::find(instructions, use.rip, &TraceInstruction::rip);
        writer.add(Place{.last = use.last,
                         .instruction = static_cast<std::uint16_t>(by - instructions.begin()),
                         .writes = flag(use.writes),
                         .unused = {}});
    }
    for (std::size_t i = 0; i < instructions.size(); ++i) {
        writer.add(Instruction{.offset = static_cast<std::uint16_t>(instructions[i].rip % memory::page_size),
                               .mnemonic = native.sites[i].mnemonic,
                               .length = instructions[i].insn.length,
                               .leaves = flag(native.sites[i].leaves)});
    }
    for (const TraceInstruction& instruction : instructions.first(header.round)) {
        for (const std::uint8_t byte :
             compiled.page.subspan(instruction.rip % memory::page_size, instruction.insn.length)) {
            writer.add(byte);
        }
    }
    const auto* copy = reinterpret_cast<const std::byte*>(code.data());
    writer.bytes().insert(writer.bytes().end(), copy, copy + code.size());
    writer.bytes().resize(header.size);
    return CompiledTrace(std::move(writer.bytes()));
}

// ---- reading ----

std::span<const Relocation> CompiledTrace::relocations() const {
    return {reinterpret_cast<const Relocation*>(bytes_.data() + sizeof(Header)), header().relocations};
}

std::span<const CompiledTrace::Branch> CompiledTrace::branches() const {
    return {reinterpret_cast<const Branch*>(relocations().data() + header().relocations), header().branches};
}

std::span<const CompiledTrace::Handled> CompiledTrace::handled() const {
    return {reinterpret_cast<const Handled*>(branches().data() + header().branches), header().handled};
}

std::span<const CompiledTrace::Place> CompiledTrace::places() const {
    return {reinterpret_cast<const Place*>(handled().data() + header().handled), header().places};
}

std::span<const CompiledTrace::Instruction> CompiledTrace::instructions() const {
    return {reinterpret_cast<const Instruction*>(places().data() + header().places), header().instructions};
}

std::span<const std::uint8_t> CompiledTrace::guest() const {
    return {reinterpret_cast<const std::uint8_t*>(instructions().data() + header().instructions),
            header().guest};
}

std::span<const std::uint8_t> CompiledTrace::code() const {
    return {guest().data() + header().guest, header().code};
}

bool CompiledTrace::made_of(const std::byte* page) const {
    const std::span<const std::uint8_t> bytes = guest();
    std::size_t done = 0;
    for (const Instruction& instruction : instructions().first(header().round)) {
        if (!memory::guest_holds(page + instruction.offset, bytes.subspan(done, instruction.length))) {
            return false;
        }
        done += instruction.length;
    }
    return true;
}

std::uint64_t CompiledTrace::granules() const {
    std::uint64_t granules = 0;
    for (const Instruction& instruction : instructions().first(header().round)) {
        granules |= interpreter::granule_mask(instruction.offset, instruction.length);
    }
    return granules;
}

bool CompiledTrace::operator==(const CompiledTrace& other) const {
    return std::ranges::equal(bytes_, other.bytes_);
}

std::optional<CompiledTrace> CompiledTrace::parse(std::span<const std::byte> bytes) {
    if (bytes.size() < sizeof(Header)) {
        return std::nullopt;
    }
    CompiledTrace trace({bytes.begin(), bytes.end()});
    return trace.within_limits() ? std::optional(std::move(trace)) : std::nullopt;
}

bool CompiledTrace::within_limits() const {
    constexpr std::uint32_t most = 1 << 20; // of anything: no sum of sizes overflows
    const Header& head = header();
    for (const std::uint32_t count : {head.relocations, head.branches, head.handled, head.places,
                                      head.instructions, head.guest, head.code, head.round}) {
        if (count > most) {
            return false;
        }
    }
    if (head.size != bytes_.size() || total_size(head) != head.size || head.round == 0 ||
        head.instructions % head.round != 0 || head.instructions == 0 || head.head > head.guest ||
        head.start >= head.code || head.start_with_vectors >= head.code) {
        return false;
    }
    std::size_t guest = 0;
    for (std::size_t i = 0; i < head.instructions; ++i) {
        const Instruction& instruction = instructions()[i];
        const Instruction& first_round = instructions()[i % head.round];
        if (instruction.length == 0 || instruction.length > interpreter::max_instruction_length ||
            instruction.offset + instruction.length > memory::page_size ||
            instruction.mnemonic > ZYDIS_MNEMONIC_MAX_VALUE || instruction.offset != first_round.offset ||
            instruction.length != first_round.length) {
            return false;
        }
        guest += i < head.round ? instruction.length : 0;
    }
    const auto in_code = [&](std::uint64_t offset, std::uint64_t size) { return offset + size <= head.code; };
    const auto holds = [&](std::uint32_t offset, std::uint64_t size) {
        return offset == nowhere || in_code(offset, size);
    };
    return guest == head.guest && instructions()[0].offset == head.key.offset &&
           std::ranges::all_of(branches(),
                               [&](const Branch& branch) {
                                   return holds(branch.jump, 4) && holds(branch.page_id, 4) &&
                                          holds(branch.unlinked, 1) &&
                                          (branch.jump == nowhere || branch.unlinked != nowhere);
                               }) &&
           std::ranges::all_of(places(),
                               [&](const Place& place) { return place.instruction < head.instructions; }) &&
           std::ranges::all_of(handled(),
                               [&](const Handled& trap) {
                                   return in_code(trap.instruction, 1) && in_code(trap.handler, 1);
                               }) &&
           std::ranges::all_of(relocations(), [&](const Relocation& relocation) {
               return in_code(relocation.at, translator::size_of(relocation.kind)) &&
                      names_something(relocation, head);
           });
}

bool CompiledTrace::names_something(const Relocation& relocation, const Header& header) {
    const auto below = [&](std::size_t end) {
        return relocation.value >= 0 && static_cast<std::size_t>(relocation.value) < end;
    };
    switch (relocation.kind) {
    case Relocation::Kind::stub: return below(most_bytes_of_stubs);
    case Relocation::Kind::site: return below(header.instructions);
    case Relocation::Kind::link: return below(header.branches);
    case Relocation::Kind::data_set: return below(std::tuple_size_v<decltype(StateLayout::data_sets)>);
    case Relocation::Kind::region: return below(header.places * sizeof(Region));
    case Relocation::Kind::region_number: return below(header.places);
    case Relocation::Kind::page_id:
    case Relocation::Kind::fetch_id:
    case Relocation::Kind::linear_unsigned:
    case Relocation::Kind::linear_signed:
    case Relocation::Kind::linear: return true;
    }
    return false;
}

} // namespace strata::cpu::translator
