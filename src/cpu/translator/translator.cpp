#include "cpu/translator/translator.hpp"

#include "cpu/interpreter/decoder.hpp"
#include "cpu/interpreter/shared.hpp"
#include "cpu/translator/block_compiler.hpp"
#include "cpu/translator/host.hpp"
#include "cpu/translator/traps.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace strata::cpu::translator {

using interpreter::Block;
using interpreter::CodeMode;
using interpreter::Cpu;
using interpreter::DataView;

namespace {

// RFLAGS' arithmetic bits as LAHF and SETO give them: AH and AL.
std::uint32_t pack_flags(std::uint64_t arithmetic) {
    return static_cast<std::uint32_t>((arithmetic & 0xD5) << 8 | ((arithmetic & x86::flag::of) != 0 ? 1 : 0));
}

std::uint64_t unpack_flags(std::uint32_t packed) {
    return (packed >> 8 & 0xD5) | ((packed & 1) != 0 ? x86::flag::of : 0);
}

bool moves_under_mask(std::uint16_t mnemonic) {
    return mnemonic == ZYDIS_MNEMONIC_VMASKMOVPS || mnemonic == ZYDIS_MNEMONIC_VMASKMOVPD ||
           mnemonic == ZYDIS_MNEMONIC_VPMASKMOVD || mnemonic == ZYDIS_MNEMONIC_VPMASKMOVQ;
}

// Whether a stack pointer of 32 bits has gone round: translated code adds up in 64.
bool wrapped(std::uint64_t before, std::uint64_t after) {
    return (before > after ? before - after : after - before) > std::uint64_t{1} << 31;
}

void patch(std::uint8_t* at, const std::uint8_t* target) {
    const auto distance = static_cast<std::int32_t>(target - (at + 4));
    std::memcpy(at, &distance, sizeof distance);
}

} // namespace

Translator::Translator(Frame& frame, CodeMemory code, const Policy& policy, TraceStore* store)
    : frame_(frame), cpu_(frame.cpu), layout_(frame), code_(std::move(code)), policy_(policy), store_(store) {
    Assembler assembler(layout_, code_.next(), most_bytes_of_stubs);
    stubs_ = emit_stubs(assembler, {interpret, take_signal, grow_region, walk_region, time_stamp, load_x87});
    code_.take(assembler.getSize());
    code_.keep();
    models_ = fingerprint(cpu_.model(), host_model(), stubs_);
    enter_ = std::bit_cast<decltype(enter_)>(code_.executable(stubs_.enter));
    cpu_.set_accelerator(this);
    cpu_.blocks_.limit(policy.decoded_bytes);
    if (policy.keeps_all) {
        cpu_.rewritten_.keep_all();
    }
    cpu_.tlb_.set_observer(&frame_.native.regions);
}

Translator::~Translator() {
    cpu_.tlb_.set_observer(nullptr);
    cpu_.set_accelerator(nullptr);
}

// ---- running ----

// One instruction by the interpreter, in the middle of translated code. Where that goes on:
// Services::interpret.
std::uint64_t Translator::interpret(Cpu* cpu, const Site* site) {
    auto& translator = *static_cast<Translator*>(cpu->accelerator_);
    NativeState& native = translator.frame_.native;
    translator.statistics_.interpreted(site->mnemonic);
    translator.take_over();
    cpu->rip() = site->next_rip;
    const bool narrow = cpu->code_mode_.size == CodeMode::Size::bits32;
    const std::uint64_t drops = native.regions.drops(), stack = cpu->regs[x86::rsp];
    const bool counts = translator.layout_.remaining.has_value();
    bool leave = site->leaves;
    if (counts) {
        translator.end_counting(site->before);
    }
    if (const auto fault = translator.known_fault(*site)) {
        translator.deliver_fault(*fault, site->insn->length);
        leave = true;
    } else {
        try {
            site->insn->handler(*cpu, *site->insn);
            if (site->mnemonic == ZYDIS_MNEMONIC_IRETQ) {
                native.interrupt_returns.learn(cpu->system,
                                               cpu->tlb_.data(static_cast<unsigned>(DataView::supervisor)));
            }
            cpu->retired_ += counts ? 1 : 0;
            // Accesses that follow in the trace trust in regions that were checked before.
            leave |= cpu->rip() != site->next_rip || cpu->block_ended_ || native.regions.drops() != drops ||
                     cpu->due();
        } catch (const interpreter::Fault& thrown) {
            translator.deliver_fault(thrown, site->insn->length);
            leave = true;
        }
    }
    if (narrow && !leave) { // else all is looked at before the next
        translator.look_at_segments();
        leave = !translator.flat() || wrapped(stack, cpu->regs[x86::rsp]);
    }
    if (native.missed != Regions::none) { // now the TLB has it
        grow_region(cpu, std::exchange(native.missed, Regions::none));
    }
    const std::uint64_t next = leave ? translator.next_target() : go_on_behind;
    if (leave) {
        translator.begin_counting();
    }
    translator.hand_back();
    return next;
}

// From translated code to C++: what of the processor is elsewhere there.
void Translator::take_over() {
    frame_.native.x87.settle(cpu_.fp, cpu_.system);
    cpu_.flags.set_arithmetic(unpack_flags(frame_.native.flags));
}

void Translator::hand_back() {
    frame_.native.flags = pack_flags(cpu_.flags.arithmetic());
    look_at_vectors();
    look_at_x87();
}

// What was seen by a look for signals, which leaves if it is anything but an interrupt.
std::uint64_t Translator::take_signal(Cpu* cpu, Link* link) {
    auto& translator = *static_cast<Translator*>(cpu->accelerator_);
    NativeState& native = translator.frame_.native;
    native.exit_link = reinterpret_cast<std::uintptr_t>(link);
    if (!cpu->takes_interrupt()) {
        return leave_translated_code;
    }
    native.exit_link = 0;
    translator.take_over();
    cpu->rip() = link->target;
    translator.found_busy(*link->owner);
    const std::uint64_t next = translator.next_target();
    translator.hand_back();
    return next;
}

// If one waits, and nothing else does.
void Translator::take_interrupt() {
    if (cpu_.takes_interrupt()) {
        cpu_.take_interrupt(Signals::interrupt);
        statistics_.add(Statistics::interrupts);
    }
}

std::optional<interpreter::Fault> Translator::known_fault(const Site& site) {
    NativeState& native = frame_.native;
    if (site.insn->handler == interpreter::undefined) {
        return interpreter::Fault{x86::Vector::invalid_opcode};
    }
    if (native.missed == Regions::none) {
        return std::nullopt;
    }
    // All that comes before this access has passed, since it was translated. But what is aligned wrongly may
    // fault for that, and under a mask there may be no access.
    const RegionUse& use = native.regions.use_of(native.missed);
    const std::uint64_t linear = native.missed_at;
    const bool crosses = interpreter::page_of(linear) != interpreter::page_of(linear + use.last);
    const bool misaligned_vector = use.last >= 15 && linear % (use.last + 1U) != 0;
    if (crosses || misaligned_vector || moves_under_mask(site.mnemonic) || use.view == DataView::never ||
        !cpu_.canonical(linear) || (use.narrow && linear >= end_of_narrow)) {
        return std::nullopt;
    }
    return cpu_.page_fault(linear, use.writes ? interpreter::Access::write : interpreter::Access::read,
                           use.view);
}

void Translator::deliver_fault(const interpreter::Fault& fault, unsigned length) {
    cpu_.rip() -= length;
    cpu_.deliver_fault(fault);
}

std::uint64_t Translator::grow_region(Cpu* cpu, std::uint64_t number) {
    auto& translator = *static_cast<Translator*>(cpu->accelerator_);
    NativeState& native = translator.frame_.native;
    translator.statistics_.add(Statistics::region_fills);
    RegionUse& use = native.regions.use_of(number);
    const bool grown =
        native.regions.fill(use, cpu->tlb_.data(static_cast<unsigned>(use.view)), native.missed_at);
    if (!grown && use.rip != 0 && !use.scattered) {
        translator.look_at_misses(use, native.missed_at);
    }
    return native.regions.regions[number].addend;
}

// Where one miss after the other is in a page far from the one before, code that is made anew looks in the
// TLB.
void Translator::look_at_misses(RegionUse& use, std::uint64_t linear) {
    constexpr std::uint8_t most_far_misses = 8;
    constexpr std::size_t most_scattered = 1 << 12;
    const std::uint64_t page = linear >> memory::page_shift;
    const bool far = page - std::exchange(use.last_page, page) + 1 > 2;
    if (!std::exchange(use.looked_at, true)) { // a place that is new
        return;
    }
    use.far_misses = far ? use.far_misses + 1 : 0;
    if (far && use.far_misses < most_far_misses) {
        frame_.native.regions.watch(use);
    } else if (far) {
        use.scattered = true;
        if (scattered_.size() == most_scattered) {
            scattered_.clear();
        }
        scattered_.insert(use.rip);
    }
}

std::uint64_t Translator::time_stamp(Cpu* cpu) { return cpu->tsc(); }

// Looks ahead of the accesses without a trace in the guest: only what was accessed before is filled in.
std::uint64_t Translator::walk_region(Cpu* cpu, std::uint64_t number) {
    constexpr std::uint16_t most_failures = 16;
    auto& translator = *static_cast<Translator*>(cpu->accelerator_);
    NativeState& native = translator.frame_.native;
    translator.statistics_.add(Statistics::page_walks);
    RegionUse& use = native.regions.use_of(number);
    const std::uint64_t linear = native.missed_at;
    // Who goes through memory (the page before was accessed lately) gets some pages at once.
    const std::uint64_t before = linear - memory::page_size;
    const bool goes_on =
        cpu->tlb_.data(static_cast<unsigned>(use.view)).at(before).read_tag == interpreter::tag_of(before);
    std::uint64_t page = linear;
    const std::uint64_t end = linear + (goes_on ? 16 : 1) * memory::page_size;
    while (use.view != DataView::never && page != end && (!use.narrow || page < end_of_narrow) &&
           cpu->fill_ahead(page, use.view)) {
        page += memory::page_size;
    }
    grow_region(cpu, number);
    native.missed = Regions::none;
    if (native.regions.holds(use, native.missed_at)) {
        use.failures = 0;
        return 0;
    }
    native.regions.fills[number].hopeless = ++use.failures > most_failures ? 1 : 0;
    return 1;
}

std::uint64_t Translator::load_x87(Cpu* cpu, std::uint64_t) {
    X87Unit& unit = static_cast<Translator*>(cpu->accelerator_)->frame_.native.x87;
    if (unit.place == X87Unit::in_state) {
        unit.image.load_from(cpu->fp);
    }
    return 0;
}

// Where translated code goes on after an instruction that ended its block, if it can without the processor's
// loop.
std::uint64_t Translator::next_target() {
    take_interrupt();
    if (!goes_on()) {
        return leave_translated_code;
    }
    if (const std::uintptr_t target = known_target()) {
        return target;
    }
    if (const auto fault = cpu_.fetch_fault()) { // likely the handler is known
        cpu_.deliver_fault(*fault);
        return goes_on() ? std::max(known_target(), leave_translated_code) : leave_translated_code;
    }
    try {
        if (NativeBlock* native = native_of(cpu_.find_block(), false)) {
            connect(nullptr, *native);
            return code_.executable(native->start);
        }
    } catch (const interpreter::Fault& fault) {
        cpu_.deliver_fault(fault);
    }
    return leave_translated_code;
}

// Whether the next instruction may be one of translated code.
bool Translator::goes_on() {
    if (cpu_.stepping_ && (cpu_.other_flags & x86::flag::rf) && !cpu_.code_breakpoints_) {
        cpu_.other_flags &= ~x86::flag::rf; // there is nothing that it could hold off
        cpu_.look_at_controls();
    }
    return !cpu_.attention() && !cpu_.stepping_ && !cpu_.step_next_ && !cpu_.sti_shadow &&
           !cpu_.movss_shadow && !cpu_.code_breakpoints_ && !cpu_.due() && translates();
}

// Of the next instruction in translated code; 0 if it is not known at once. Something new begins there.
std::uintptr_t Translator::known_target() {
    cpu_.begin_block();
    look_at_state();
    return frame_.native.jumps[static_cast<std::size_t>(cpu_.code_mode_.data)].find(cpu_.rip());
}

bool Translator::runnable(const NativeBlock& native) const {
    return (!native.uses_vectors || frame_.native.vectors_unusable == 0) &&
           (!native.uses_x87 || frame_.native.x87.unusable == 0) && fits(native);
}

void Translator::enter(const NativeBlock& native) {
    NativeState& state = frame_.native;
    state.flags = pack_flags(cpu_.flags.arithmetic());
    state.entry = code_.executable(native.start);
    begin_counting();
    const TrapScope traps(*this);
    enter_(&cpu_);
    take_over();
    end_counting(layout_.remaining ? 0 : 1);
}

bool Translator::execute(Block& block, Block*& next_block) {
    if (watches(block)) {
        return false;
    }
    if (block.key == Block::dead) {
        return false; // void, or an instruction that is kept by no one
    }
    look_at_state();
    NativeBlock* native = native_of(block, false);
    if (native == nullptr || !runnable(*native)) {
        return false;
    }
    for (;;) {
        enter(*native);
        auto* link = reinterpret_cast<Link*>(frame_.native.exit_link);
        if (link != nullptr) {
            cpu_.rip() = link->target;
            if (link->polls) {
                found_busy(*link->owner);
            }
        }
        if (cpu_.block_ended_ || cpu_.attention() || cpu_.due() || !translates()) {
            return true;
        }
        look_at_state();
        if (const auto fault = cpu_.fetch_fault()) {
            cpu_.deliver_fault(*fault);
            return true;
        }
        const std::uint64_t epoch = cpu_.blocks_.epoch();
        Block& next = cpu_.find_block();
        if (cpu_.blocks_.epoch() != epoch) {
            return true; // the link may have gone
        }
        const std::uint64_t evictions = evictions_;
        if (policy_.records_at_once && link != nullptr && link->target <= link->owner->linear) {
            make_busy(next);
        }
        if (watches(next)) {
            next_block = &next;
            return true;
        }
        native = native_of(next, link != nullptr && link->plain);
        if (evictions_ != evictions) {
            return true; // the link may have gone
        }
        if (native == nullptr || !runnable(*native)) {
            next_block = &next;
            return true;
        }
        connect(link, *native);
    }
}

std::uintptr_t Translator::trap_handler(std::uintptr_t instruction) const {
    const auto section = code_.section_of(instruction);
    if (!section) {
        return 0;
    }
    const auto& traps = sections_[*section].traps;
    const auto found = std::ranges::lower_bound(traps, instruction, {}, &HostTrap::first);
    return found == traps.end() || found->first != instruction ? 0 : found->second;
}

// ---- linking ----

void Translator::connect(Link* link, NativeBlock& to) {
    if (link == nullptr) {
        frame_.native.jumps[static_cast<std::size_t>(to.view)].insert(to.linear, code_.executable(to.entry));
        return;
    }
    if (link->jump == nullptr) {
        return;
    }
    if (link->to != &to) {
        unlink(*link);
        link->to = &to;
        to.incoming.push_back(link);
    }
    if (link->page_id != nullptr) {
        store_page_id(link->page_id, to.page_id);
    }
    patch(link->jump, link->vectors_loaded ? to.start_with_vectors : to.start);
}

void Translator::unlink(Link& link) {
    if (link.to != nullptr) {
        std::erase(link.to->incoming, &link);
        link.to = nullptr;
        patch(link.jump, link.unlinked);
    }
}

} // namespace strata::cpu::translator
