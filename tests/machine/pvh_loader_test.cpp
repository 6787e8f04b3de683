#include "elf_image.hpp"

#include "cpu/x86/registers.hpp"

namespace strata::machine::test {
namespace {

namespace x86 = cpu::x86;

constexpr std::uint32_t load = 1, note = 4;

Bytes pvh_note(std::uint32_t entry) {
    Bytes bytes;
    put<std::uint32_t>(bytes, 0, 4);
    put<std::uint32_t>(bytes, 4, 4);
    put<std::uint32_t>(bytes, 8, 18);
    put_text(bytes, 12, std::string_view("Xen\0", 4));
    put(bytes, 16, entry);
    return bytes;
}

Bytes kernel() {
    Bytes code;
    put_text(code, 0, "kernel code");
    return elf64(0xFFFF'FFFF'8100'0000, {{load, 0x20'0000, 0x2000, code}, {note, 0, 0, pvh_note(0x20'0004)}});
}

class PvhLoader : public BootFixture {};

TEST_F(PvhLoader, EntersAtTheNotesAddressWithTheStartInfo) {
    const auto image = kernel();
    const auto module = Bytes(10, std::byte{7});
    auto boot = request(image, "loglevel=7");
    boot.modules.push_back({{"initrd", module}, "module arguments"});
    ASSERT_TRUE(memory_->write(0x20'1FFF, "x", 1)); // to be cleared: it is bss
    const auto state = loader::load(boot, target());
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(state->rip, 0x20'0004);
    EXPECT_EQ(state->system.cr0 & (x86::cr0::pe | x86::cr0::pg), x86::cr0::pe);
    EXPECT_EQ(state->system.tr.limit, 0x67U);
    EXPECT_EQ(read_string(0x20'0000), "kernel code");
    EXPECT_EQ(read<std::uint8_t>(0x20'1FFF), 0);

    const auto info = state->gpr[x86::rbx];
    EXPECT_EQ(read<std::uint32_t>(info), 0x336E'C578);
    EXPECT_EQ(read<std::uint32_t>(info + 4), 1U);
    EXPECT_EQ(read_string(read<std::uint64_t>(info + 24)), "loglevel=7");
    EXPECT_EQ(read<std::uint64_t>(info + 32), rsdp);
    ASSERT_EQ(read<std::uint32_t>(info + 12), 1U);
    const auto list = read<std::uint64_t>(info + 16);
    EXPECT_EQ(read_bytes(read<std::uint64_t>(list), module.size()), module);
    EXPECT_EQ(read<std::uint64_t>(list + 8), module.size());
    EXPECT_EQ(read_string(read<std::uint64_t>(list + 16)), "module arguments");
    const auto map = read<std::uint64_t>(info + 40);
    ASSERT_EQ(read<std::uint32_t>(info + 48), e820_.size());
    EXPECT_EQ(read<std::uint64_t>(map), e820_[0].base);
    EXPECT_EQ(read<std::uint64_t>(map + 8), e820_[0].size);
}

TEST_F(PvhLoader, RefusesWhatItCannotBoot) {
    EXPECT_EQ(refusal(elf64(0, {{load, 0x20'0000, 16, Bytes(16)}})),
              "kernel test-kernel: an ELF file without a PVH entry (Xen note 18)");

    auto other_processor = kernel();
    put<std::uint16_t>(other_processor, 0x12, 183);
    EXPECT_EQ(refusal(other_processor),
              "kernel test-kernel: an ELF file for another processor (machine 183)");

    auto cut = kernel();
    cut.resize(cut.size() - 1);
    EXPECT_EQ(refusal(cut), "kernel test-kernel: segment 1 leaves the file, which has 206 bytes");

    auto shrinking = kernel();
    put<std::uint64_t>(shrinking, 64 + 0x28, 1);
    EXPECT_EQ(refusal(shrinking), "kernel test-kernel: segment 0 is smaller in memory than in the file");

    auto in_rom = kernel();
    put<std::uint64_t>(in_rom, 64 + 0x18, 0xF'0000);
    EXPECT_EQ(refusal(in_rom), "kernel test-kernel needs 8192 bytes at 0xf0000, which is not free RAM");

    auto everywhere = kernel();
    put(everywhere, 64 + 0x28, ~std::uint64_t{0});
    EXPECT_NE(refusal(everywhere).find("which is not free RAM"), std::string::npos);

    auto many = kernel();
    put<std::uint16_t>(many, 0x38, 0xFFFF);
    EXPECT_EQ(refusal(many), "kernel test-kernel: the program headers are damaged or cut off");
}

TEST_F(PvhLoader, ANoteThatClaimsTooMuchIsNoEntry) {
    auto image = kernel();
    const std::size_t note_at = image.size() - 20;
    put<std::uint32_t>(image, note_at, 0xFFFF'FFF0); // the owner's name
    EXPECT_NE(refusal(image).find("without a PVH entry"), std::string::npos);
}

} // namespace
} // namespace strata::machine::test
