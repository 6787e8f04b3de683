#include "base/bytes.hpp"
#include "machine/tables/acpi.hpp"
#include "machine/tables/aml.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <sstream>
#include <string>

namespace strata::machine::acpi {
namespace {

constexpr memory::GuestPhysical base = 0xE'0000;

Platform platform() {
    return {.cpus = 3,
            .sci = 9,
            .pci_irqs = {5, 7, 10, 11},
            .serial_ports = {{0x3F8, 4}},
            .pci_window64 = 0x80'0000'0000,
            .pci_window64_size = 0x10'0000'0000};
}

unsigned sum(std::span<const std::byte> bytes) {
    return std::accumulate(
               bytes.begin(), bytes.end(), 0U,
               [](unsigned total, std::byte value) { return total + static_cast<unsigned>(value); }) &
           0xFF;
}

// Without the whole text in the message.
void expect_in(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "missing: " << part;
}

// Finds the tables as an operating system does.
class AcpiTables : public testing::Test {
protected:
    AcpiTables() : tables_(build_tables(platform(), base)) {
        const auto root = at(tables_.rsdp, 36);
        rsdt_ = load_le<std::uint32_t>(&root[16]);
        xsdt_ = load_le<std::uint64_t>(&root[24]);
        const auto list = table(xsdt_);
        for (std::size_t offset = 36; offset + 8 <= list.size(); offset += 8) {
            add(load_le<std::uint64_t>(&list[offset]));
        }
        add(load_le<std::uint64_t>(&by_signature_.at("FACP")[140])); // X_DSDT
    }

    [[nodiscard]] std::span<const std::byte> at(std::uint64_t address, std::size_t size) const {
        EXPECT_GE(address, base);
        EXPECT_LE(address - base + size, tables_.bytes.size());
        return std::span(tables_.bytes).subspan(address - base, size);
    }

    [[nodiscard]] std::span<const std::byte> table(std::uint64_t address) const {
        return at(address, load_le<std::uint32_t>(&at(address, 8)[4]));
    }

    void add(std::uint64_t address) {
        const auto bytes = table(address);
        by_signature_[std::string(reinterpret_cast<const char*>(bytes.data()), 4)] = bytes;
    }

    // What Debian's disassembler makes of a table: its text and its warnings.
    [[nodiscard]] std::string disassembled(const std::string& signature) const {
        const auto folder =
            std::filesystem::temp_directory_path() / ("strata-acpi-" + std::to_string(getpid()));
        std::filesystem::create_directories(folder);
        const auto file = folder / (signature + ".aml");
        const auto bytes = by_signature_.at(signature);
        std::ofstream(file, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        const auto command = "cd " + folder.string() + " && iasl -d " + file.string() + " > log 2>&1";
        EXPECT_EQ(std::system(command.c_str()), 0);
        std::stringstream text;
        text << std::ifstream(folder / (signature + ".dsl")).rdbuf() << std::ifstream(folder / "log").rdbuf();
        std::filesystem::remove_all(folder);
        return text.str();
    }

    Tables tables_;
    std::uint64_t rsdt_ = 0, xsdt_ = 0;
    std::map<std::string, std::span<const std::byte>> by_signature_;
};

TEST_F(AcpiTables, TheRootPointerIsWhereKernelsLook) {
    EXPECT_EQ(tables_.rsdp % 16, 0U);
    EXPECT_LT(tables_.rsdp, 0x10'0000U);
    const auto root = at(tables_.rsdp, 36);
    EXPECT_EQ(std::memcmp(root.data(), "RSD PTR ", 8), 0);
    EXPECT_EQ(sum(root.first(20)), 0U);
    EXPECT_EQ(sum(root), 0U);
}

TEST_F(AcpiTables, EveryChecksumIsRight) {
    EXPECT_EQ(sum(table(rsdt_)), 0U);
    EXPECT_EQ(sum(table(xsdt_)), 0U);
    EXPECT_EQ(by_signature_.size(), 4U);
    for (const auto& [signature, bytes] : by_signature_) {
        EXPECT_EQ(sum(bytes), 0U) << signature;
    }
}

TEST_F(AcpiTables, TheOldRootTableListsTheSame) {
    const auto narrow = table(rsdt_), wide = table(xsdt_);
    ASSERT_EQ((narrow.size() - 36) / 4, (wide.size() - 36) / 8);
    for (std::size_t i = 0; i < (narrow.size() - 36) / 4; ++i) {
        EXPECT_EQ(load_le<std::uint32_t>(&narrow[36 + 4 * i]), load_le<std::uint64_t>(&wide[36 + 8 * i]));
    }
}

TEST_F(AcpiTables, TheFixedTableDisassemblesAsMeant) {
    EXPECT_EQ(by_signature_.at("FACP").size(), 276U); // of ACPI 6
    const auto text = disassembled("FACP");
    expect_in(text, "SCI Interrupt : 0009");
    expect_in(text, "PM1A Event Block Address : 00000600");
    expect_in(text, "PM1A Control Block Address : 00000604");
    expect_in(text, "PM Timer Block Address : 00000608");
    expect_in(text, "GPE0 Block Address : 00000620");
    expect_in(text, "PM Timer Block Length : 04");
    expect_in(text, "RTC Century Index : 32");
    expect_in(text, "Reset Register Supported (V2) : 1");
    expect_in(text, "Value to cause reset : 06");
    expect_in(text, "Address : 0000000000000CF9");
    expect_in(text, "Hardware Reduced (V5) : 0");
}

TEST_F(AcpiTables, TheInterruptControllersDisassembleAsMeant) {
    const auto text = disassembled("APIC");
    expect_in(text, "Local Apic Address : FEE00000");
    expect_in(text, "Local Apic ID : 02");
    expect_in(text, "Address : FEC00000");
    expect_in(text, "Source : 00\n");
    expect_in(text, "Interrupt : 00000002");
}

TEST_F(AcpiTables, TheConfigurationSpaceIsTold) {
    expect_in(disassembled("MCFG"), "Base Address : 00000000E0000000");
}

TEST_F(AcpiTables, TheDefinitionBlockDisassemblesAsMeant) {
    const auto text = disassembled("DSDT");
    for (const char* expected :
         {"Device (PCI0)", "Name (_HID, EisaId (\"PNP0A08\")", "Name (_PRT, Package (0x80)",
          "Method (_OSC, 4", "Return (Arg3)", "WordBusNumber (", "QWordMemory (", "0x0000008000000000",
          "Device (COM1)", "Device (RTC0)", "Name (_HID, \"QEMU0001\")", "Name (_HID, \"ACPI0007\"",
          "Device (C002)", "Name (\\_S5, Package (0x04)"}) {
        expect_in(text, expected);
    }
    EXPECT_EQ(text.find("rror"), std::string::npos);
}

} // namespace
} // namespace strata::machine::acpi

namespace strata::machine::aml {
namespace {

TEST(Aml, IntegersTakeTheirShortestForm) {
    EXPECT_EQ(integer(0).bytes.size(), 1U);
    EXPECT_EQ(integer(1).bytes.size(), 1U);
    EXPECT_EQ(integer(0xFF).bytes.size(), 2U);
    EXPECT_EQ(integer(0x100).bytes.size(), 3U);
    EXPECT_EQ(integer(0x1'0000).bytes.size(), 5U);
    EXPECT_EQ(integer(0x1'0000'0000).bytes.size(), 9U);
}

TEST(Aml, PackageLengthsCountThemselves) {
    // A buffer of n bytes: opcode, length, size as a term, n bytes.
    for (const std::size_t n : {1UL, 59UL, 60UL, 61UL, 4090UL, 4092UL, 4100UL, 70000UL}) {
        const auto term = buffer(std::vector<std::byte>(n)).bytes;
        const auto lead = static_cast<unsigned>(term[1]);
        const unsigned following = lead >> 6;
        std::size_t length = following == 0 ? lead & 0x3F : lead & 0xF;
        for (unsigned i = 0; i < following; ++i) {
            length |= static_cast<std::size_t>(term[2 + i]) << (4 + 8 * i);
        }
        EXPECT_EQ(length, term.size() - 1) << n;
    }
}

TEST(Aml, AnEisaIdIsCompressed) {
    const std::array expected{std::byte{0x0C}, std::byte{0x41}, std::byte{0xD0}, std::byte{0x0A},
                              std::byte{0x03}};
    EXPECT_TRUE(std::ranges::equal(eisa_id("PNP0A03").bytes, expected)); // the specification's example
}

} // namespace
} // namespace strata::machine::aml
