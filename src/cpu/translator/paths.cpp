// Traces along paths: where a signal, which comes at any time, finds the processor, it spends time. There the
// interpreter is watched for one round, and what it went through becomes one trace.
#include "cpu/interpreter/decoder.hpp"
#include "cpu/interpreter/shared.hpp"
#include "cpu/translator/translator.hpp"
#include "memory/racing_bytes.hpp"

#include <algorithm>
#include <array>

namespace strata::cpu::translator {

using interpreter::Block;

namespace {

// Block::runs of those that are to be recorded: how many tries are left.
constexpr std::uint32_t last_try = ~std::uint32_t{0} - 3, first_try = last_try + 2;

bool is_to_record(const Block& block) { return block.runs >= last_try && block.runs <= first_try; }

BlockEnd end_of(const Decoded& last, bool known) {
    if (!known || !last.is_near_branch()) {
        return BlockEnd::other;
    }
    const bool direct = last.holds_target();
    switch (last.info.mnemonic) {
    case ZYDIS_MNEMONIC_RET: return BlockEnd::ret;
    case ZYDIS_MNEMONIC_CALL: return direct ? BlockEnd::call : BlockEnd::computed_call;
    default: return direct ? BlockEnd::jump : BlockEnd::computed_jump;
    }
}

} // namespace

bool Translator::waits_for_path(const Block& block) { return is_to_record(block); }

// What begins there is recorded when it is met next.
void Translator::make_busy(Block& block) {
    if (block.runs < last_try) {
        block.runs = first_try;
        remove_all(block);
    }
}

// Its translation looked for signals and found one.
void Translator::found_busy(const NativeBlock& native) {
    if (native.block == nullptr || native.plain) {
        return;
    }
    if (std::ranges::any_of(native.regions, &RegionUse::scattered) && native.block->runs == busy) {
        native.block->runs = 0; // better done with what is known now
    }
    make_busy(*native.block);
}

PathRecorder::Step Translator::step_at(Block& block) {
    PathRecorder::Step step{&block, cpu_.rip(), BlockEnd::other};
    const memory::GuestPhysical page = page_of(block);
    const std::byte* host =
        block.key == Block::dead ? nullptr : cpu_.shared_.memory().host(page, memory::page_size);
    if (host == nullptr || block.count == 0 || block.second_page != Block::dead) {
        return step;
    }
    const unsigned length = block.insns[block.count - 1].length;
    std::array<std::uint8_t, interpreter::max_instruction_length> bytes{};
    memory::copy_from_guest(bytes.data(), host + step.linear % memory::page_size + block.bytes - length,
                            length);
    const auto decoded = cpu_.decoder_->decode(cpu_.code_mode_, std::span(bytes).first(length));
    if (decoded.status == interpreter::Decoder::Status::ok && !decoded.ends_block) {
        step.end = BlockEnd::straight;
        return step;
    }
    Decoded last;
    const bool known = ZYAN_SUCCESS(ZydisDecoderDecodeFull(
        &cpu_.decoder_->zydis(cpu_.code_mode_.size), bytes.data(), length, &last.info, last.operands.data()));
    step.end = end_of(last, known);
    return step;
}

// Whether the interpreter is to carry out the block, which RIP is at, since it is watched.
bool Translator::watches(Block& block) {
    const std::uint64_t epoch = cpu_.blocks_.epoch();
    if (!recorder_.recording()) {
        if (!is_to_record(block) || block.key == Block::dead) {
            return false;
        }
        const PathRecorder::Step first = step_at(block);
        if (block.count == 1 && first.end != BlockEnd::straight && first.end != BlockEnd::jump &&
            first.end != BlockEnd::call) {
            block.runs = busy; // here paths part: BlockCompiler::expect leads to it
            return false;
        }
        recorder_.begin(first, cpu_.code_mode_, epoch);
        return true;
    }
    const PathRecorder::State state = recorder_.note(step_at(block), cpu_.code_mode_, epoch);
    if (state == PathRecorder::State::recording) {
        return true;
    }
    recorder_.end();
    if (recorder_.knows_blocks(epoch)) {
        Block& first = *recorder_.steps().front().block;
        const bool again =
            state == PathRecorder::State::lost && is_to_record(first) && first.runs != last_try;
        first.runs = again ? first.runs - 1 : busy;
        if (state == PathRecorder::State::done) {
            translate_path(first);
        }
    }
    return false;
}

// Of what was recorded, with copies of its pages. Empty: some of it is not in RAM.
std::vector<Stretch> Translator::stretches(std::vector<std::unique_ptr<PageCopy>>& pages) {
    std::vector<Stretch> path;
    for (const PathRecorder::Step& step : recorder_.steps()) {
        const memory::GuestPhysical physical = page_of(*step.block);
        auto page = std::ranges::find(pages, physical, [](const auto& known) { return known->physical; });
        if (page == pages.end()) {
            const std::byte* host = cpu_.shared_.memory().host(physical, memory::page_size);
            if (host == nullptr) {
                return {};
            }
            page = pages.insert(pages.end(), std::make_unique<PageCopy>(physical));
            memory::copy_from_guest((*page)->bytes.data(), host, memory::page_size);
        }
        path.push_back({step.linear, step.block->bytes, page_id(step.linear, physical), (*page)->bytes});
    }
    return path;
}

void Translator::translate_path(Block& first) {
    const auto steps = recorder_.steps();
    const interpreter::CodeMode mode = recorder_.mode(); // not the processor's any more, perhaps
    if (code_.left() < most_bytes_of_trace) {
        make_room();
    }

    std::vector<std::unique_ptr<PageCopy>> pages;
    const auto path = stretches(pages);
    if (path.empty()) {
        return;
    }
    trace_.follow(*cpu_.decoder_, mode, path, recorder_.closed());
    if (trace_.instructions().empty() || (!trace_.loops() && trace_.round() <= first.count)) {
        return; // what follows is another trace, anyhow
    }
    auto native = new_native(page_of(first), path.front().linear, mode);
    for (const PathRecorder::Step& step : steps.subspan(1)) {
        native->path.push_back(step.block);
    }
    NativeBlock* const kept = compile(std::move(native), first, {});
    if (kept == nullptr) {
        return;
    }
    statistics_.add(Statistics::paths);
    for (Block* block : kept->path) {
        block->watched = true;
        paths_.emplace(block, kept);
    }
}

} // namespace strata::cpu::translator
