//! The company's directory: what it says, and what follows for what is stored. No LDAP, no SQL.

mod distinguished_name;
mod plan;
mod security_id;
mod snapshot;

pub use distinguished_name::{DnError, DnKey, domain_of_base};
pub use plan::{
    AccountPlan, Adoption, GroupPlan, MembershipPlan, NewAccount, PlanError, Rename, Skip,
    SkipReason, StoredAccount, StoredMembers, plan_groups, plan_memberships, plan_users,
    primary_members,
};
pub use security_id::{SecurityId, SecurityIdError};
pub use snapshot::{
    ChangeMark, DirectoryGroup, DirectoryUser, ListedEntry, MemberName, Resolved, Resolver,
    Snapshot, UserFacts,
};

words! {
    /// What kind of directory it is.
    DirectoryKind {
        /// Active Directory, or Samba in that role.
        Ad = "AD",
        /// Another LDAP directory: OpenLDAP, 389 Directory Server.
        Ldap = "LDAP",
    }
}
