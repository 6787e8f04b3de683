#include "cpu/translator/listing.hpp"

#include "cpu/empty_bus.hpp"
#include "cpu/translator/block_compiler.hpp"
#include "cpu/translator/host_check.hpp"
#include "cpu/translator/installed_trace.hpp"
#include "cpu/translator/state_names.hpp"

#include <Zydis/Zydis.h>
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>

namespace strata::cpu::translator {

namespace {

std::uint64_t nothing(interpreter::Cpu*, const Site*) { return 0; }

std::uint64_t no_signal(interpreter::Cpu*, Link*) { return 0; }

std::uint64_t no_region(interpreter::Cpu*, std::uint64_t) { return 0; }

std::uint64_t no_time(interpreter::Cpu*) { return 0; }

// Disassembles host code with names instead of addresses.
class Disassembly {
public:
    Disassembly(const StateNames& names, const Stubs& stubs, std::span<const std::uint8_t* const> starts)
        : names_(names), starts_(starts) {
        stubs_[stubs.interpret] = "interpret";
        stubs_[stubs.system_call] = "system_call";
        stubs_[stubs.system_return] = "system_return";
        stubs_[stubs.interrupt_return] = "interrupt_return";
        for (unsigned element = 0; element < stubs.strings.store.size(); ++element) {
            stubs_[stubs.strings.store[element]] = fmt::format("store_string{}", 8U << element);
            stubs_[stubs.strings.move[element]] = fmt::format("move_string{}", 8U << element);
        }
        stubs_[stubs.time_stamp] = "time_stamp";
        stubs_[stubs.load_vectors] = "load_vectors";
        ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
        ZydisFormatterInit(&formatter_, ZYDIS_FORMATTER_STYLE_INTEL);
    }

    // What the trace's instruction of that number became.
    [[nodiscard]] std::vector<ListedInstruction::Host> of(std::size_t instruction) const {
        std::vector<ListedInstruction::Host> lines;
        for (const std::uint8_t* at = starts_[instruction]; at < starts_[instruction + 1];) {
            ZydisDecodedInstruction info;
            Operands operands;
            if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder_, at, ZYDIS_MAX_INSTRUCTION_LENGTH, &info,
                                                   operands.data()))) {
                lines.push_back({{*at}, "???", 0, 0});
                break;
            }
            lines.push_back({{at, at + info.length}, line(at, info, operands), 0, 0});
            if (info.raw.disp.size == 32) {
                lines.back().distance_at = info.raw.disp.offset;
                lines.back().distance_bytes = 4;
            } else if (info.raw.imm[0].is_relative && info.raw.imm[0].size == 32) {
                lines.back().distance_at = info.raw.imm[0].offset;
                lines.back().distance_bytes = 4;
            }
            at += info.length;
        }
        return lines;
    }

private:
    using Operands = std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT>;

    [[nodiscard]] std::string line(const std::uint8_t* at, const ZydisDecodedInstruction& info,
                                   const Operands& operands) const {
        std::array<char, 128> buffer;
        const auto address = reinterpret_cast<std::uintptr_t>(at);
        ZydisFormatterFormatInstruction(&formatter_, &info, operands.data(), info.operand_count_visible,
                                        buffer.data(), buffer.size(), address, nullptr);
        std::string text(buffer.data());
        const ZydisDecodedOperand& first = operands[0];
        if (first.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && first.imm.is_relative) {
            return text.substr(0, text.find(' ') + 1) + place(at + info.length + first.imm.value.s);
        }
        for (const ZydisDecodedOperand& operand : operands) {
            if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.base == ZYDIS_REGISTER_RSP &&
                &operand < &operands[info.operand_count_visible]) {
                const auto end = text.find(']', text.find("[rsp"));
                const auto disp = text.find_last_of("+-", end);
                text.replace(disp + 1, end - disp - 1, names_.of(operand.mem.disp.value));
            }
        }
        if (info.mnemonic == ZYDIS_MNEMONIC_MOV && operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
            operands[1].imm.value.u > 0xFFFF'FFFF && first.reg.value == ZYDIS_REGISTER_R14) {
            text = "mov r14, site"; // or another address of the translator's
        }
        return text;
    }

    [[nodiscard]] std::string place(const std::uint8_t* target) const {
        if (const auto stub = stubs_.find(target); stub != stubs_.end()) {
            return stub->second;
        }
        if (target >= starts_.back()) {
            return "later";
        }
        return fmt::format("+{}", target - starts_[0]);
    }

    const StateNames& names_;
    std::span<const std::uint8_t* const> starts_;
    std::map<const std::uint8_t*, std::string> stubs_;
    ZydisDecoder decoder_{};
    ZydisFormatter formatter_{};
};

NativeBlock block_at(std::uint64_t address, const Listing::Guest& guest) {
    NativeBlock block;
    block.linear = address;
    block.user = guest.user;
    block.narrow = guest.narrow;
    block.view = guest.user ? interpreter::DataView::user : interpreter::DataView::supervisor;
    return block;
}

std::string guest_text(const TraceInstruction& instruction) {
    std::array<char, 128> text;
    ZydisFormatter formatter;
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    ZydisFormatterFormatInstruction(
        &formatter, &instruction.decoded.info, instruction.decoded.operands.data(),
        instruction.decoded.info.operand_count_visible, text.data(), text.size(), instruction.rip, nullptr);
    return text.data();
}

} // namespace

Listing::Listing(const x86::Model& model, const x86::Model& host)
    : model_(model), host_(host), bus_(std::make_unique<EmptyBus>()),
      memory_(memory::GuestMemory::create(1 << 20).value()), shared_(*memory_, clock_),
      // For overwrite: most of the frame's stack is never touched.
      frame_(new Frame(shared_, VcpuConfig{.model = &model_}, *bus_)), layout_(*frame_), decoder_(model_),
      host_code_(std::size_t{1} << 20) {
    Assembler assembler(layout_, host_code_.data(), host_code_.size());
    stubs_ = emit_stubs(assembler, {nothing, no_signal, no_region, no_region, no_time, no_region});
    stubs_size_ = (assembler.getSize() + 15) / 16 * 16;
}

Listing::~Listing() = default;

struct Listing::Translation {
    Translation(Listing& listing, std::uint64_t address, const Guest& guest)
        : assembler(listing.layout_, listing.host_code_.data() + listing.stubs_size_,
                    listing.host_code_.size() - listing.stubs_size_),
          native(block_at(address, guest)),
          compiler(assembler, listing.stubs_, listing.frame_->native.regions, listing.host_, true, native) {}

    Trace trace;
    Assembler assembler;
    NativeBlock native;
    BlockCompiler compiler;
};

std::array<std::uint8_t, memory::page_size> Listing::page_of(std::span<const std::uint8_t> code,
                                                             std::uint64_t address) {
    constexpr std::uint8_t hlt = 0xF4;
    std::array<std::uint8_t, memory::page_size> page{};
    const std::size_t offset = address % memory::page_size;
    std::ranges::copy(code, page.begin() + static_cast<std::ptrdiff_t>(offset));
    if (offset + code.size() < page.size()) {
        page[offset + code.size()] = hlt;
    }
    return page;
}

interpreter::CodeMode Listing::mode_of(const Guest& guest) {
    using Size = interpreter::CodeMode::Size;
    return {.size = guest.narrow ? Size::bits32 : Size::bits64, .real_or_v86 = false, .user = guest.user};
}

void Listing::compile(Translation& translation, std::span<const std::uint8_t> page, std::uint64_t address,
                      const Guest& guest) {
    translation.trace.find(decoder_, mode_of(guest), page, address, true);
    translation.compiler.compile(translation.trace);
}

std::vector<ListedInstruction> Listing::translate(std::span<const std::uint8_t> code, std::uint64_t address,
                                                  const Guest& guest) {
    const auto page = page_of(code, address);
    frame_->native.regions.clear();
    Translation translation(*this, address, guest);
    compile(translation, page, address, guest);
    const StateNames names(layout_);
    const Disassembly host(names, stubs_, translation.compiler.starts());
    std::vector<ListedInstruction> listed;
    const auto instructions = translation.trace.instructions();
    for (std::size_t i = 0; i < instructions.size(); ++i) {
        const TraceInstruction& instruction = instructions[i];
        if (instruction.rip == address + code.size()) {
            continue; // HLT
        }
        const auto* bytes = page.data() + instruction.rip % memory::page_size;
        listed.push_back(
            {instruction.rip, {bytes, bytes + instruction.insn.length}, guest_text(instruction), host.of(i)});
    }
    return listed;
}

std::optional<std::string> Listing::escape(std::span<const std::uint8_t> code, std::uint64_t address,
                                           const Guest& guest,
                                           const std::function<void(std::span<std::uint8_t>)>& tamper) {
    frame_->native.regions.clear();
    Translation translation(*this, address, guest);
    compile(translation, page_of(code, address), address, guest);
    const std::uint8_t* end = translation.assembler.here();
    tamper({translation.native.entry, end});
    return find_escape({layout_, stubs_, translation.native, translation.trace.instructions(),
                        translation.compiler.traps(), end});
}

Listing::Copies Listing::copies(std::span<const std::uint8_t> code, std::uint64_t address, const Guest& guest,
                                const Place& place, const CompiledTrace* made_elsewhere) {
    Regions& regions = frame_->native.regions;
    regions.clear();
    std::vector<RegionUse> before(place.regions_taken);
    for (RegionUse& use : before) {
        static_cast<void>(regions.take(use));
    }
    const auto page = page_of(code, address);
    Translation translation(*this, address, guest);
    translation.native.page_id = place.page_id;
    std::vector<Note> notes;
    translation.assembler.note_in(&notes);
    compile(translation, page, address, guest);
    const std::span host(translation.native.entry, translation.assembler.getSize());
    const TraceKey key{.offset = static_cast<std::uint16_t>(address % memory::page_size)};
    Copies copies{.trace = CompiledTrace::of(key, 1,
                                             {translation.native, translation.trace, page, host,
                                              translation.compiler.traps(), notes, stubs_, layout_}),
                  .compiled = {host.begin(), host.end()},
                  .copied = {}};
    if (made_elsewhere != nullptr && made_elsewhere->code().size() == host.size()) {
        std::ranges::copy(made_elsewhere->code(), host.begin());
        if (relocate(*made_elsewhere, host, stubs_, layout_, translation.native)) {
            copies.copied = {host.begin(), host.end()};
        }
        NativeBlock native = block_at(address, guest);
        std::vector<Trap> traps;
        const auto mode = mode_of(guest);
        copies.installed =
            install(*made_elsewhere, {host, stubs_, layout_, regions, decoder_, mode}, native, traps) &&
            !find_escape({layout_, stubs_, native, translation.trace.instructions(), traps,
                          host.data() + host.size()});
    }
    return copies;
}

bool Listing::takes(const CompiledTrace& trace) {
    const std::span room = std::span(host_code_).subspan(stubs_size_);
    if (trace.code().size() > room.size()) {
        return false;
    }
    Regions& regions = frame_->native.regions;
    regions.clear();
    NativeBlock native = block_at(0x40'0000 + trace.header().key.offset, {});
    std::vector<Trap> traps;
    const auto mode = mode_of({});
    return install(trace, {room.first(trace.code().size()), stubs_, layout_, regions, decoder_, mode}, native,
                   traps);
}

} // namespace strata::cpu::translator
