// Guest memory from translated code: the place's region, behind it the TLB's arrays, behind them the
// interpreter. Flags stay as they are, or are given back.
#include "cpu/translator/block_compiler.hpp"

#include <cstdlib>
#include <limits>

namespace strata::cpu::translator {

using Xbyak::Reg64;
using Xbyak::RegExp;

namespace {

// With room for what is added within a group of accesses. In 32-bit code a large one is likely to be an
// array's address: it wraps around.
bool fits_displacement(std::int64_t value, bool narrow) {
    constexpr std::int64_t room = 4096, most = std::numeric_limits<std::int32_t>::max() - room;
    constexpr std::int64_t most_narrow = 1 << 20;
    return std::abs(value) <= (narrow ? most_narrow : most);
}

} // namespace

// Uses `to`, and R15 if two registers live in memory.
void BlockCompiler::put_address(const Reg64& to, const EffectiveAddress& address) {
    if (address.bits != EffectiveAddress::none) {
        put_element_address(to, address);
        return;
    }
    // As wide as addresses are: 32 bits of a sum are that sum modulo 2^32.
    const Xbyak::Reg wide = to, narrow = to.cvt32();
    const auto& sum_register = address.narrow ? narrow : wide;
    if (address.base == EffectiveAddress::none && address.index == EffectiveAddress::none) {
        const auto constant = static_cast<std::uint64_t>(address.displacement);
        if (address.from_rip) {
            a.linear(to, constant);
        } else {
            a.constant(to, address.narrow ? static_cast<std::uint32_t>(constant) : constant);
        }
    } else {
        RegExp sum;
        if (address.base != EffectiveAddress::none) {
            sum = sum + a.guest(static_cast<unsigned>(address.base), to);
        }
        if (address.index != EffectiveAddress::none) {
            const bool taken = address.base != EffectiveAddress::none &&
                               !a.host_register(static_cast<unsigned>(address.base));
            sum = sum + a.guest(static_cast<unsigned>(address.index), taken ? a.r15 : to) *
                            static_cast<int>(address.scale);
        }
        a.lea(sum_register, a.ptr[sum + static_cast<std::size_t>(address.displacement)]);
    }
    if (address.segment != EffectiveAddress::none) {
        a.mov(a.r15, a.state(layout.segment_base(static_cast<unsigned>(address.segment))));
        a.lea(sum_register, a.ptr[to + a.r15]);
    }
}

bool BlockCompiler::check_segment(const EffectiveAddress& address) {
    if (!address.narrow || address.segment == EffectiveAddress::none) {
        return false;
    }
    Label all;
    a.mov(a.ecx, a.state32(layout.segment_limited(static_cast<unsigned>(address.segment))));
    a.jrcxz(all);
    a.jmp(slow_path(), Assembler::T_NEAR);
    a.L(all);
    return true;
}

// A base register of the host's with a displacement: an address that an instruction adds up itself.
std::optional<RegExp> BlockCompiler::simple(const EffectiveAddress& address) const {
    if (address.base == EffectiveAddress::none || address.index != EffectiveAddress::none ||
        address.segment != EffectiveAddress::none || address.bits != EffectiveAddress::none ||
        !fits_displacement(address.displacement, address.narrow)) {
        return std::nullopt;
    }
    const auto base = a.host_register(static_cast<unsigned>(address.base));
    if (!base) {
        return std::nullopt;
    }
    return Reg64(static_cast<int>(*base)) + static_cast<std::size_t>(address.displacement);
}

// The rounds of a loop have their accesses in the same pages: what one finds does for all.
RegionUse* BlockCompiler::region_for(unsigned size, bool writes) {
    if (!repeats_) {
        return new_region(size, writes);
    }
    RegionUse*& known = region_of_[{index() % round_, accesses_, size, writes}];
    if (known == nullptr) {
        known = new_region(size, writes);
    }
    return known;
}

RegionUse* BlockCompiler::new_region(unsigned size, bool writes) {
    native_.regions.push_back({.last = static_cast<std::uint16_t>(size - 1),
                               .view = view_,
                               .writes = writes,
                               .narrow = native_.narrow,
                               .rip = rip()});
    RegionUse& use = native_.regions.back();
    if (!regions_.take(use)) {
        native_.regions.pop_back();
        return nullptr;
    }
    use.region = static_cast<std::uint32_t>(layout.region(use.number));
    return &use;
}

RegExp BlockCompiler::look_up(const EffectiveAddress& address, unsigned size, Access access) {
    const SharedAccess& shared = sharing_.access(index(), accesses_++);
    const AccessGroup& group = sharing_.groups()[shared.group];
    const bool writes = access == Access::write;
    // Modulo 2^32 only what is added up in one register alone keeps its distance from what was checked.
    // Where segments are is looked up each time.
    const bool keeps_distance =
        (!address.narrow || simple(address)) && address.segment == EffectiveAddress::none;
    if (const Checked& checked = shared_[shared.group];
        checked.pointer != 0 || (checked.use != nullptr && keeps_distance)) {
        return reach(checked, address, shared.offset);
    }
    const bool shares =
        group.accesses > 1 && !native_.plain && (keeps_distance || pointers_ < layout.pointers.size());
    if (scattered() && !address.narrow && (!shares || pointers_ < layout.pointers.size())) {
        return shares ? check_in_tlb(address, shared) : look_up_in_tlb(address, size, access);
    }
    RegionUse* const use =
        shares ? region_for(static_cast<unsigned>(group.length), group.writes) : region_for(size, writes);
    if (use == nullptr) {
        return look_up_in_tlb(address, size, access);
    }
    borrow_flag();
    static_cast<void>(slow_path());
    if (check_segment(address) && shares) {
        site_->leaves = true; // past the check, on which what follows would rely
    }
    if (shares) {
        // The interpreter's share would be this access alone: another translation takes them one by one.
        Link& link = make_link(rip());
        link.plain = true;
        const auto failed = [this, &link, before = index(), record = record_](Label& hit) {
            a.call(stubs_.walk_region);
            a.jrcxz(hit);
            Label* const away = &late_.make<Label>();
            a.jmp(*away, Assembler::T_NEAR);
            later([this, &link, before, record, away] {
                a.L(*away);
                emit_record(record);
                emit_link_here(link, before);
            });
        };
        check_region(address, distance(shared.offset, group.lowest), *use, failed);
        shared_[shared.group] = {.use = use};
        if (!simple(address)) {
            keep_pointer(shared_[shared.group], shared.offset);
        }
    } else {
        check_region(address, 0, *use, [this, slow = slow_](Label&) { a.jmp(*slow, Assembler::T_NEAR); });
    }
    if (needs_borrowed()) {
        return_flag();
    }
    return shares ? reach(shared_[shared.group], address, shared.offset) : with_addend(address);
}

// The host address of what is `offset` in a checked group, of which `address` is the linear one.
RegExp BlockCompiler::reach(const Checked& group, const EffectiveAddress& address, std::uint64_t offset) {
    if (group.pointer != 0) {
        put_in_r14(group.pointer);
        return a.r14 + (offset - group.offset);
    }
    put_in_r14(addend_of(*group.use));
    if (!simple(address)) {
        put_address(a.rcx, address);
    }
    return with_addend(address);
}

// So that those that follow need not add the address up again: rCX is the linear one, R14 the addend.
void BlockCompiler::keep_pointer(Checked& group, std::uint64_t offset) {
    if (pointers_ == layout.pointers.size()) {
        return;
    }
    group.pointer = layout.pointers[pointers_++];
    group.offset = offset;
    a.lea(a.r14, a.ptr[a.rcx + a.r14]);
    a.mov(a.state(group.pointer), a.r14);
    in_r14_ = group.pointer;
}

void BlockCompiler::put_in_r14(int state) {
    if (in_r14_ != state) {
        a.mov(a.r14, a.state(state));
        a.note_state(state);
        in_r14_ = state;
    }
}

int BlockCompiler::addend_of(const RegionUse& use) { return static_cast<int>(use.region) + region_addend; }

RegExp BlockCompiler::with_addend(const EffectiveAddress& address) const {
    const auto base = simple(address);
    return base ? *base + a.r14 : a.rcx + a.r14;
}

template <class Failed>
void BlockCompiler::check_region(const EffectiveAddress& address, std::int64_t low, const RegionUse& use,
                                 Failed failed) {
    const int region = static_cast<int>(use.region);
    auto lowest = simple(address);
    if (lowest) {
        lowest = *lowest + static_cast<std::size_t>(low);
    }
    Label *const miss = &late_.make<Label>(), *const again = &late_.make<Label>();
    a.L(*again);
    const Reg64 check = lowest ? a.rcx : a.r15;
    if (lowest) {
        a.mov(check, a.state(region + region_minus_base));
        a.note_state(region + region_minus_base);
        a.lea(check, a.ptr[check + *lowest]);
    } else {
        put_address(a.rcx, address);
        a.mov(check, a.state(region + region_minus_base));
        a.note_state(region + region_minus_base);
        a.lea(check, a.ptr[check + a.rcx + static_cast<std::size_t>(low)]);
    }
    if (borrowed_ == Borrowed::cf) {
        a.adcx(check, a.state(region + region_minus_limit));
        a.note_state(region + region_minus_limit);
        a.jc(*miss, Assembler::T_NEAR);
    } else {
        a.adox(check, a.state(region + region_minus_limit));
        a.note_state(region + region_minus_limit);
        a.jo(*miss, Assembler::T_NEAR);
    }
    in_r14_ = 0;
    put_in_r14(addend_of(use));
    later([this, &use, lowest, low, miss, again, borrowed = borrowed_, failed] {
        a.L(*miss);
        emit_return_flag(borrowed, true);
        if (lowest) {
            a.lea(a.rcx, a.ptr[*lowest]);
        } else if (low != 0) {
            a.lea(a.rcx, a.ptr[a.rcx + static_cast<std::size_t>(low)]);
        }
        a.mov(a.r14d, use.number);
        a.note(Relocation::Kind::region_number, use.number);
        a.call(stubs_.fill_region(use));
        Label hit;
        a.jrcxz(hit);
        failed(hit);
        a.L(hit);
        emit_clear_flag(borrowed);
        a.jmp(*again, Assembler::T_NEAR);
    });
}

void BlockCompiler::search_tlb(const EffectiveAddress& address, std::int64_t low, std::uint64_t size,
                               bool writes, Label& hit) {
    in_r14_ = 0;
    put_address(a.rcx, address);
    if (low != 0) {
        a.lea(a.rcx, a.ptr[a.rcx + static_cast<std::size_t>(low)]);
    }
    a.pext(a.r14, a.rcx, a.state(layout.index_mask));
    if (size > 1) {
        a.lea(a.rcx, a.ptr[a.rcx + static_cast<int>(size - 1)]);
    }
    const int tags = writes ? layout.write_tags(view_) : layout.read_tags(view_);
    a.mov(a.r15, a.qword[a.rsp + a.r14 * 8 + tags]);
    a.pext(a.rcx, a.rcx, a.state(layout.page_mask));
    a.lea(a.rcx, a.ptr[a.rcx + a.r15]);
    a.jrcxz(hit);
}

// For all of the access's group, which keeps the host address.
RegExp BlockCompiler::check_in_tlb(const EffectiveAddress& address, const SharedAccess& access) {
    const AccessGroup& group = sharing_.groups()[access.group];
    Label hit;
    search_tlb(address, distance(access.offset, group.lowest), group.length, group.writes, hit);
    Label* const other = &late_.make<Label>();
    a.jmp(*other, Assembler::T_NEAR);
    a.L(hit);
    Link& link = make_link(rip());
    link.plain = true;
    later([this, &link, other, borrowed = borrowed_, before = index(), record = record_] {
        a.L(*other);
        emit_return_flag(borrowed, false);
        emit_record(record);
        emit_link_here(link, before);
    });
    a.mov(a.r14, a.qword[a.rsp + a.r14 * 8 + layout.addends(view_)]);
    put_address(a.rcx, address);
    keep_pointer(shared_[access.group] = {}, access.offset);
    return a.r14 + std::size_t{0};
}

// Changes no flags.
RegExp BlockCompiler::look_up_in_tlb(const EffectiveAddress& address, unsigned size, Access access) {
    Label hit;
    check_segment(address);
    search_tlb(address, 0, size, access == Access::write, hit);
    a.jmp(slow_path(), Assembler::T_NEAR);
    a.L(hit);
    a.mov(a.r14, a.qword[a.rsp + a.r14 * 8 + layout.addends(view_)]);
    if (const auto base = simple(address); base && !address.narrow) {
        return *base + a.r14;
    }
    put_address(a.rcx, address);
    return a.rcx + a.r14;
}

} // namespace strata::cpu::translator
