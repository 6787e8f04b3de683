// Finding and building blocks: instruction fetch, its faults, and keeping decoded code true to memory.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/decoder.hpp"
#include "cpu/interpreter/shared.hpp"
#include "memory/racing_bytes.hpp"

#include <algorithm>
#include <thread>

namespace strata::cpu::interpreter {

namespace {

constexpr std::uint64_t page_offset(std::uint64_t address) { return address & (memory::page_size - 1); }

} // namespace

std::uint64_t Cpu::code_bytes_left() const {
    if (code64_) {
        return ~std::uint64_t{0};
    }
    const std::uint64_t end = std::uint64_t{system.segments[x86::cs].limit} + 1;
    return rip() < end ? end - rip() : 0;
}

void Cpu::read_code(const FetchEntry& page, std::uint64_t offset, std::span<std::uint8_t> to) {
    if (page.host != nullptr) {
        memory::copy_from_guest(to.data(), page.host + offset, to.size());
        return;
    }
    for (std::size_t i = 0; i < to.size(); ++i) {
        to[i] = static_cast<std::uint8_t>(bus_.read_mmio(page.physical + offset + i, 1));
    }
}

bool Cpu::prefetch() {
    const std::uint64_t cr2 = system.cr2;
    try {
        static_cast<void>(fetch_page(code_linear()));
        return true;
    } catch (const Fault&) {
        system.cr2 = cr2;
        return false;
    }
}

Block& Cpu::find_block() {
    wrap_rip();
    const std::uint64_t linear = code_linear();
    const std::uint64_t left = code_bytes_left();
    if (left == 0) {
        raise_gp();
    }
    const FetchEntry page = fetch_page(linear);
    if (rewritten_.is_fresh(page.physical)) [[unlikely]] {
        if (Block* fresh = fresh_instruction(linear, page)) {
            return *fresh;
        }
    }
    Block* block = page.host == nullptr
                       ? nullptr
                       : blocks_.find(BlockCache::key(page.physical | page_offset(linear), code_mode_.key()));
    if (block != nullptr && block->second_page != Block::dead &&
        fetch_page(next_page(linear)).physical != block->second_page) {
        block = nullptr;
    }
    while (block == nullptr || block->bytes > left) {
        block = build_block(linear, page);
    }
    block->linear = linear;
    // An instruction that crosses pages depends on two translations, and what a device answers may change:
    // such are looked at each time.
    const bool each_time = block->second_page != Block::dead || page.host == nullptr;
    block->generation = each_time ? 0 : page.global ? global_generation_ : generation_;
    return *block;
}

// Null if the code was written meanwhile: then once more.
Block* Cpu::build_block(std::uint64_t linear, const FetchEntry& page) {
    blocks_.make_room();
    const std::uint64_t start = page_offset(linear);
    const std::uint64_t readable = std::min(memory::page_size - start, code_bytes_left());
    std::array<std::uint8_t, Block::most_instructions * max_instruction_length> bytes;
    std::size_t size = 0;
    draft_.clear();
    for (bool ended = false; !ended && draft_.size() < Block::most_instructions;) {
        const std::size_t ahead = std::min<std::size_t>(readable - size, max_instruction_length);
        const std::span<std::uint8_t> window(bytes.data() + size, ahead);
        read_code(page, start + size, window);
        const Decoder::Result result = decoder_->decode(code_mode_, window);
        if (result.status != Decoder::Status::ok) {
            if (!draft_.empty()) {
                break; // the next block begins with it
            }
            if (result.status == Decoder::Status::too_long || readable < memory::page_size - start) {
                raise_gp();
            }
            return build_crossing_block(linear, page);
        }
        draft_.push_back(result.insn);
        size += result.insn.length;
        ended = result.ends_block || page.host == nullptr;
    }
    Block& block = blocks_.create(draft_);
    block.bytes = static_cast<std::uint32_t>(size);
    if (page.host == nullptr) {
        return &block; // device memory is read anew each time
    }
    block.granules = granule_mask(start, size);
    blocks_.insert(block, BlockCache::key(page.physical | start, code_mode_.key()));
    mark_code(page.physical, block.granules);
    return still_in_memory(block, page, start, std::span(bytes).first(size)) ? &block : nullptr;
}

// One instruction, found by no one. Null if it is not alone in its page, or none at all.
Block* Cpu::fresh_instruction(std::uint64_t linear, const FetchEntry& page) {
    const std::uint64_t start = page_offset(linear);
    const std::uint64_t readable = std::min(memory::page_size - start, code_bytes_left());
    std::array<std::uint8_t, max_instruction_length> bytes;
    const auto window = std::span(bytes).first(std::min<std::size_t>(readable, bytes.size()));
    if (page.host == nullptr) {
        return nullptr;
    }
    if (window.size() == bytes.size()) [[likely]] { // all of it at once
        memory::copy_from_guest(bytes.data(), page.host + start, bytes.size());
    } else {
        read_code(page, start, window);
    }
    const Decoder::Result result = decoder_->decode(code_mode_, window);
    if (result.status != Decoder::Status::ok) {
        return nullptr;
    }
    fresh_insn_ = result.insn;
    fresh_block_.linear = linear;
    fresh_block_.links = {}; // what it led to may have been freed since
    fresh_block_.insns = &fresh_insn_;
    fresh_block_.count = 1;
    fresh_block_.bytes = result.insn.length;
    return &fresh_block_;
}

// One instruction whose bytes are in two pages.
Block* Cpu::build_crossing_block(std::uint64_t linear, const FetchEntry& first) {
    const std::uint64_t start = page_offset(linear);
    const std::size_t here = memory::page_size - start;
    std::array<std::uint8_t, max_instruction_length> bytes;
    read_code(first, start, std::span(bytes).first(here));
    const FetchEntry second = fetch_page(next_page(linear)); // may fault
    const std::size_t readable = std::min<std::uint64_t>(bytes.size(), code_bytes_left());
    read_code(second, 0, std::span(bytes).subspan(here, readable - here));
    const Decoder::Result result = decoder_->decode(code_mode_, std::span(bytes).first(readable));
    if (result.status != Decoder::Status::ok) {
        raise_gp(); // longer than 15 bytes, or than the segment
    }
    Block& block = blocks_.create(std::span(&result.insn, 1));
    block.bytes = result.insn.length;
    block.second_page = second.physical;
    if (first.host == nullptr || second.host == nullptr) {
        return &block;
    }
    block.granules = granule_mask(start, here) | (first.physical == second.physical ? 1 : 0);
    blocks_.insert(block, BlockCache::key(first.physical | start, code_mode_.key()));
    mark_code(first.physical, block.granules);
    mark_code(second.physical, 1);
    const auto read = std::span(bytes).first(readable);
    return still_in_memory(block, first, start, read.first(here)) &&
                   still_in_memory(block, second, 0, read.subspan(here))
               ? &block
               : nullptr;
}

// Whether a block just marked is what memory holds, and no notice voided it; if not it is voided.
bool Cpu::still_in_memory(Block& block, const FetchEntry& page, std::uint64_t offset,
                          std::span<const std::uint8_t> bytes) {
    if (block.key != Block::dead && memory::guest_holds(page.host + offset, bytes)) {
        return true;
    }
    blocks_.kill(block);
    return false;
}

// ---- code in memory ----

void Cpu::mark_code(memory::GuestPhysical page, std::uint64_t granules) {
    if (shared_.mark_code(page, granules, *mailbox_)) {
        tlb_.forbid_writes(page);
    }
    take_code_notices(); // another may have marked the page first
    while (!shared_.others_settled(*mailbox_)) {
        std::this_thread::yield();
        take_code_notices();
    }
}

void Cpu::take_code_notices() {
    while (!mailbox_->empty()) {
        std::vector<memory::GuestPhysical> rewritten;
        mailbox_->take([&](const CodeNotice& notice) {
            if (notice.page == CodeNotice::everywhere) {
                blocks_.invalidate_all();
                flush_tlb(true);
            } else if (notice.written == 0) {
                tlb_.forbid_writes(notice.page);
            } else if (blocks_.invalidate(notice.page, notice.written) && rewritten_.note(notice.page)) {
                rewritten.push_back(notice.page);
            }
        });
        for (const memory::GuestPhysical page : rewritten) {
            shared_.code_written(page, memory::page_size); // nothing of it is kept
        }
        end_block();
    }
}

void Cpu::leave_memory() { mailbox_->leave(); }

void Cpu::return_to_memory() {
    mailbox_->enter();
    take_code_notices();
}

} // namespace strata::cpu::interpreter
