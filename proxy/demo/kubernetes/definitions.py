"""The CustomResourceDefinitions of a MOSK management cluster: kinds, scopes, printed columns, schemas."""

from collections.abc import Mapping

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.schema_language import schemas
from proxy.demo.kubernetes.workloads import new_metadata

_CLUSTER = "cluster.k8s.io"
_KAAS = "kaas.mirantis.com"
_METAL = "metal3.io"
_IPAM = "ipam.mirantis.com"
_LCM = "lcm.mirantis.com"
_IAM = "iam.mirantis.com"

# group, kind, plural, namespaced, short names
_KINDS: tuple[tuple[str, str, str, bool, tuple[str, ...]], ...] = (
    (_CLUSTER, "Cluster", "clusters", True, ("cl",)),
    (_CLUSTER, "Machine", "machines", True, ("ma",)),
    (_KAAS, "BareMetalHostCredential", "baremetalhostcredentials", True, ("bmhc",)),
    (_KAAS, "BareMetalHostInventory", "baremetalhostinventories", True, ("bmhi",)),
    (_KAAS, "ClusterOIDCConfiguration", "clusteroidcconfigurations", True, ()),
    (_KAAS, "ClusterRelease", "clusterreleases", False, ()),
    (_KAAS, "ClusterUpdatePlan", "clusterupdateplans", True, ()),
    (_KAAS, "ContainerRegistry", "containerregistries", True, ()),
    (_KAAS, "GracefulRebootRequest", "gracefulrebootrequests", True, ()),
    (_KAAS, "HostOSConfiguration", "hostosconfigurations", True, ("hoc",)),
    (_KAAS, "HostOSConfigurationModules", "hostosconfigurationmodules", False, ("hocm",)),
    (_KAAS, "KaaSRelease", "kaasreleases", False, ()),
    (_KAAS, "License", "licenses", False, ()),
    (_KAAS, "MCCUpgrade", "mccupgrades", False, ()),
    (_KAAS, "Proxy", "proxies", True, ()),
    (_KAAS, "PublicKey", "publickeys", True, ()),
    (_KAAS, "ServiceUser", "serviceusers", False, ()),
    (_KAAS, "TLSConfig", "tlsconfigs", True, ()),
    (_METAL, "BareMetalHost", "baremetalhosts", True, ("bmh",)),
    (_METAL, "BareMetalHostProfile", "baremetalhostprofiles", True, ("bmhp",)),
    (_IPAM, "IPaddr", "ipaddrs", True, ()),
    (_IPAM, "IpamHost", "ipamhosts", True, ()),
    (_IPAM, "L2Template", "l2templates", True, ()),
    (_IPAM, "Subnet", "subnets", True, ()),
    (_LCM, "ClusterMaintenanceRequest", "clustermaintenancerequests", False, ()),
    (_LCM, "HelmBundle", "helmbundles", True, ("hb",)),
    (_LCM, "LCMCluster", "lcmclusters", True, ()),
    (_LCM, "LCMMachine", "lcmmachines", True, ()),
    (_LCM, "NodeMaintenanceRequest", "nodemaintenancerequests", False, ()),
    (_IAM, "ClusterRedirect", "clusterredirects", True, ()),
    (_IAM, "IAMClusterRoleBinding", "iamclusterrolebindings", True, ()),
    (_IAM, "IAMGlobalRoleBinding", "iamglobalrolebindings", False, ()),
    (_IAM, "IAMRole", "iamroles", False, ()),
    (_IAM, "IAMRoleBinding", "iamrolebindings", True, ()),
    (_IAM, "IAMUser", "iamusers", False, ()),
    (_IAM, "Scope", "scopes", False, ()),
)

# kind → columns as (name, type, JSON path); Age always comes last
_COLUMNS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "BareMetalHost": (
        ("State", "string", ".status.provisioning.state"),
        ("Consumer", "string", ".spec.consumerRef.name"),
        ("Online", "string", ".spec.online"),
        ("Error", "string", ".status.errorType"),
    ),
    "BareMetalHostInventory": (
        ("State", "string", ".status.provisioning.state"),
        ("Online", "string", ".spec.online"),
    ),
    "Cluster": (
        ("Ready", "string", ".status.providerStatus.ready"),
        ("Release", "string", ".spec.providerSpec.value.release"),
        ("Nodes", "integer", ".status.providerStatus.nodes.ready"),
        ("Maintenance", "string", ".status.providerStatus.maintenance"),
    ),
    "ClusterRelease": (("Version", "string", ".spec.version"),),
    "HelmBundle": (("Releases", "integer", ".status.releaseCount"),),
    "IAMClusterRoleBinding": (
        ("Cluster", "string", ".cluster.name"),
        ("Role", "string", ".role.name"),
        ("User", "string", ".user.name"),
    ),
    "IAMGlobalRoleBinding": (("Role", "string", ".role.name"), ("User", "string", ".user.name")),
    "IAMRole": (("Description", "string", ".description"),),
    "IAMRoleBinding": (("Role", "string", ".role.name"), ("User", "string", ".user.name")),
    "IAMUser": (("Display Name", "string", ".displayName"),),
    "KaaSRelease": (("Version", "string", ".spec.version"),),
    "LCMMachine": (
        ("ClusterName", "string", ".spec.clusterName"),
        ("Type", "string", ".spec.type"),
        ("State", "string", ".status.state"),
    ),
    "Machine": (
        ("Ready", "string", ".status.providerStatus.ready"),
        ("Status", "string", ".status.providerStatus.status"),
        ("Node", "string", ".status.nodeRef.name"),
        ("Upgrade Index", "integer", ".status.providerStatus.upgradeIndex"),
    ),
    "Subnet": (("CIDR", "string", ".spec.cidr"), ("Gateway", "string", ".spec.gateway")),
}

_SCHEMAS = schemas("""
BareMetalHost A physical server that can become a machine.
  spec object+ How it shall be.
    online boolean Whether it shall be powered on.
    bootMACAddress string The interface it boots from.
    bmc object+ Where its management controller is.
      address string URL of the controller.
      credentialsName string The secret with its user name and password.
    consumerRef object+ The machine that uses it.
  status object+ What was found and done.
Cluster A Kubernetes cluster that the management cluster builds and keeps.
  spec object+ The desired state.
    clusterNetwork object+ Address ranges of services and pods.
    providerSpec object+ Holds what the provider needs to know.
      value object+ The settings of the cluster.
        release string Which ClusterRelease it runs; changing it starts an upgrade.
        maintenance boolean Whether the cluster is in maintenance.
        dedicatedControlPlane boolean Whether managers run no workloads.
        loadBalancerHost string The address of its Kubernetes API.
        publicKeys [object+] Who may log in to its machines.
        helmReleases [object+] What runs in it besides Kubernetes, such as StackLight.
        kaas object+ Only on the management cluster.
  status object+ The observed state, written by controllers.
    providerStatus object+ Readiness, conditions, addresses.
Machine A node of a cluster.
  spec object+ The desired state.
    providerSpec object+ Holds what the provider needs to know.
      value object+ Which host is taken and how it is prepared.
  status object+ The observed state.
PublicKey A public SSH key that is put on machines.
  spec object The key.
    publicKey! string In the format of authorized_keys.
Subnet A range of addresses.
  spec object+ The range.
    cidr! string The network.
    gateway string The router.
    nameservers [string] Name servers.
    includeRanges [string] Addresses that may be given out.
  status object+ What is given out.
""")

_OPEN: Document = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definitions(created: str) -> list[Document]:
    """All CustomResourceDefinition objects."""
    return [_definition(*row, created=created) for row in _KINDS]


def _definition(group: str, kind: str, plural: str, namespaced: bool, short_names: tuple[str, ...], *, created: str) -> Document:
    columns = [{"name": name, "type": form, "jsonPath": path} for name, form, path in _COLUMNS.get(kind, ())]
    schema = _SCHEMAS.get(kind, {**_OPEN, "description": f"{kind} of {group}."})
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": new_metadata(f"{plural}.{group}", None, created=created),
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": list(short_names),
            },
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        *columns,
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                }
            ],
        },
    }
